package faults_test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/interactorhq/interactor/internal/realtest/faults/disk"
)

// roleVariable names the process that this binary is to be, and holds its spec.
const roleVariable = "INTERACTOR_FAULTS_ROLE"

// spec is what a process is told. Its listener is file descriptor 3.
type spec struct {
	Role    string
	Service serviceSpec
	Sender  senderSpec
	Inbox   inboxSpec
}

// serviceSpec is the service under test.
type serviceSpec struct {
	Dir        string // holds store.db
	Receiver   string // URL
	Incoming   string // secret of the sender
	Outgoing   string // signing secret
	Bearer     bool   // the sender proves itself without a timestamp
	Timeout    time.Duration
	Held       string // file: most tasks that were in memory at a time
	Seed       uint64
	Checksums  bool
	SkipCheck  bool
	Planted    planted
	KillAt     string // point at which the process kills itself
	KillNth    int    // the how manieth time it gets there
	Platter    string // directory; power can be lost
	Durable    string // directory with what is durable at first; empty: all that is in Dir
	Left       string // directory for what a loss of power leaves
	LoseAt     int    // border of an fsync: 2n is before, 2n+1 after the nth
	LoseWrites int    // that many writes later
	Mode       disk.Mode
	Disk       diskFault
	Purge      bool // finished events are removed all the time
	Clock      bool // the wall clock can be set
	Tenants    int  // destinations
	Handler    bool // OnEvent instead of a URL; it panics now and then
	Broken     bool // Decode and Verify panic now and then
	Drain      time.Duration
}

// diskFault is what is wrong with the disk.
type diskFault string

const (
	diskFull     diskFault = "full"      // on and off by the control address
	diskSlow     diskFault = "slow"      // fsyncs take their time
	diskWrite    diskFault = "write"     // a write to the WAL fails
	diskSync     diskFault = "sync"      // an fsync of the WAL fails
	diskMain     diskFault = "main"      // a write to the file fails
	diskMainSync diskFault = "main sync" // an fsync of the file fails
	diskRead     diskFault = "read"      // reading from the file fails
)

// planted is a bug that the suite has to notice.
type planted string

const (
	plantedEarly    planted = "2xx before the commit"
	plantedUnsynced planted = "synchronous=OFF"
	plantedRecorded planted = "outcome recorded before the send"
)

// senderSpec is the product that sends webhooks.
type senderSpec struct {
	URL     string
	File    string // one line for each acknowledgement: number, when the try began, when it was acknowledged
	Secret  string
	Bearer  bool
	Workers int
	Pause   time.Duration
	Body    int // bytes
	Total   int // events to send; 0: until stdin ends
	Tenants int // addresses to spread them over
}

// inboxSpec is the receiver.
type inboxSpec struct {
	File   string // one line for each delivery: number, webhook-id, when
	Secret string
	Seed   uint64
	Clock  bool // timestamps of deliveries are anything
}

// role returns what this process is to be, if it is not the test.
func role() (s spec, ok bool) {
	text := os.Getenv(roleVariable)
	if text == "" {
		return s, false
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	return s, true
}

// filling is what event n holds, so that a wrong byte shows.
func filling(n, size int) string {
	one := strconv.Itoa(n) + ","
	return strings.Repeat(one, size/len(one)+1)[:size]
}
