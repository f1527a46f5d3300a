package faults_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/realtest/faults/disk"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/webhook"
)

// Deadlines are for machines that do other things as well: nothing is measured by them.
const (
	startDeadline  = 60 * time.Second
	stopDeadline   = 60 * time.Second
	arriveDeadline = 90 * time.Second // without any progress
)

// world is a sender, a service and a receiver, and what happened to them.
type world struct {
	t      *testing.T
	dir    string
	random *rand.Rand
	client *http.Client

	service  serviceSpec
	at       *os.File // the service's listener
	address  string
	running  *process
	lives    int
	inbox    *process
	inboxURL string
	sender   *process

	modes []disk.Mode
	skip  int // borders of fsyncs at which power is not lost
	row   row
	ends  []time.Time   // of lives that ended by a fault
	quiet time.Duration // settle gives up when nothing has arrived for so long
}

// row is a line of the table.
type row struct {
	kind                                     string
	faults, acknowledged, arrived, lost      int
	duplicates, inFlight                     int
	slowest                                  time.Duration
	apart, bad, waiting                      int
	tries, refused, deliveries, brokeAnswers int
	took                                     time.Duration
}

// newWorld starts a receiver. change may alter the service's spec and the receiver's.
func newWorld(t *testing.T, kind string, change func(*serviceSpec, *inboxSpec)) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(), random: rand.New(rand.NewPCG(options.seed, uint64(len(kind)))),
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
		row:    row{kind: kind}, quiet: arriveDeadline,
	}
	outgoing := webhook.NewSecret()
	inbox := inboxSpec{File: filepath.Join(w.dir, "arrived"), Secret: outgoing, Seed: w.random.Uint64()}
	w.at, w.address = listen(t)
	at, address := listen(t)
	w.inboxURL = "http://" + address
	w.service = serviceSpec{
		Dir: filepath.Join(w.dir, "store"), Receiver: w.inboxURL + "/events", Incoming: webhook.NewSecret(), Outgoing: outgoing,
		Timeout: 2 * time.Second, Held: filepath.Join(w.dir, "held"), Drain: 5 * time.Second,
	}
	if err := os.Mkdir(w.service.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&w.service, &inbox)
	}
	w.inbox = start(t, spec{Role: "inbox", Inbox: inbox}, at)
	w.awaitReady(w.inbox)
	return w
}

func (w *world) awaitReady(p *process) {
	w.t.Helper()
	select {
	case <-p.ready:
	case <-time.After(startDeadline):
		w.t.Fatalf("a process is not ready within %v:\n%s", startDeadline, p.output())
	}
}

// send starts the sender.
func (w *world) send(change func(*senderSpec)) {
	w.t.Helper()
	s := senderSpec{
		URL: "http://" + w.address + "/webhooks/webhook", File: filepath.Join(w.dir, "acknowledged"),
		Secret: w.service.Incoming, Bearer: w.service.Bearer, Workers: 16, Body: 600, Tenants: w.service.Tenants,
	}
	if change != nil {
		change(&s)
	}
	w.sender = start(w.t, spec{Role: "sender", Sender: s}, nil)
}

// launch starts the service without waiting for it. change is for this life.
func (w *world) launch(change func(*serviceSpec)) *process {
	w.t.Helper()
	w.lives++
	s := w.service
	s.Seed = w.random.Uint64()
	if change != nil {
		change(&s)
	}
	w.running = start(w.t, spec{Role: "service", Service: s}, w.at)
	return w.running
}

// start starts the service and waits until it takes requests.
func (w *world) start(change func(*serviceSpec)) *process {
	w.t.Helper()
	p := w.launch(change)
	w.awaitReady(p)
	if _, ok := p.said("ready"); !ok {
		<-p.exited
		if !p.killed() {
			w.t.Fatalf("life %d of the service did not begin: %v\n%s", w.lives, p.cmd.ProcessState, p.output())
		}
	}
	return p
}

// fault notes that the running life was ended by a fault. It has to be one that the test has made.
func (w *world) fault() {
	w.t.Helper()
	if !w.running.within(stopDeadline) {
		w.t.Fatalf("the service did not end:\n%s", w.running.output())
	}
	if !w.running.killed() && w.running.cmd.ProcessState.ExitCode() != exitFailed {
		w.t.Fatalf("life %d of the service ended with %v:\n%s", w.lives, w.running.cmd.ProcessState, w.running.output())
	}
	w.row.faults++
	w.ends = append(w.ends, w.running.at)
}

// kill is kill -9 by the test.
func (w *world) kill() {
	w.t.Helper()
	_ = w.running.cmd.Process.Kill()
	w.fault()
}

// stop ends the service by SIGTERM: it has to drain, leave no goroutine behind, and exit with 0.
func (w *world) stop() {
	w.t.Helper()
	_ = w.running.cmd.Process.Signal(syscall.SIGTERM)
	if !w.running.within(stopDeadline) {
		w.t.Fatalf("the service did not end after SIGTERM:\n%s", w.running.output())
	}
	if code := w.running.cmd.ProcessState.ExitCode(); code != 0 {
		w.t.Errorf("after SIGTERM the service ended with %v, want 0:\n%s", w.running.cmd.ProcessState, w.running.output())
	}
}

// behave tells the receiver how to answer that share of its deliveries.
func (w *world) behave(as behaviour, share float64) {
	w.t.Helper()
	w.post(w.inboxURL + "/behave?" + url.Values{"as": {string(as)}, "share": {fmt.Sprint(share)}}.Encode())
}

// control tells the running service something.
func (w *world) control(path string) string {
	w.t.Helper()
	return w.post("http://" + w.address + path)
}

func (w *world) post(to string) string {
	w.t.Helper()
	res, err := w.client.Post(to, "", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s %s (%v)", to, res.Status, body, err)
	}
	return string(body)
}

func (w *world) get(from string) string {
	w.t.Helper()
	res, err := w.client.Get(from)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}

// lastly ends the sender: what it has begun is to be acknowledged first.
func (w *world) lastly() {
	w.t.Helper()
	_ = w.sender.stdin.Close()
	w.awaitSender()
}

// awaitSender waits until the sender has sent its Total.
func (w *world) awaitSender() {
	w.t.Helper()
	if !w.sender.within(arriveDeadline) {
		w.t.Fatalf("the sender still waits for 2xx after %v; the service says %s", arriveDeadline, w.get("http://"+w.address+"/stats"))
	}
	var r senderReport
	if err := json.Unmarshal([]byte(w.sender.output()), &r); err != nil {
		w.t.Fatalf("%v: %s", err, w.sender.output())
	}
	w.row.tries, w.row.refused = r.Tries, r.Statuses[http.StatusServiceUnavailable]
	for status, n := range r.Statuses {
		if status != 0 && status/100 != 2 && status != http.StatusServiceUnavailable && (status != http.StatusInternalServerError || !w.service.Broken) {
			w.t.Errorf("%d requests were answered %d", n, status)
		}
	}
}

// settle waits until all that was acknowledged has arrived, ends the service, looks at its store
// and returns what the files say. Losses are the caller's to judge.
func (w *world) settle() row {
	w.t.Helper()
	acknowledged, begins := w.acknowledged()
	var a arrivals
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for last, changed := 0, time.Now(); ; <-tick.C {
		w.arrived(&a)
		if a.total != last {
			last, changed = a.total, time.Now()
		}
		if len(notArrived(acknowledged, a.ids)) == 0 || time.Since(changed) > w.quiet {
			break
		}
	}
	failed, _ := strconv.Atoi(w.get("http://" + w.address + "/failed"))
	w.stop()
	w.arrived(&a)
	lost := notArrived(acknowledged, a.ids)
	w.row.acknowledged, w.row.lost, w.row.deliveries, w.row.bad = len(acknowledged), len(lost), a.total, len(a.bad)
	w.row.arrived = len(a.ids)
	w.row.duplicates = a.total - len(a.ids)
	for _, ids := range a.ids {
		if len(ids) != 1 {
			w.row.apart++
		}
	}
	for _, end := range w.ends {
		w.row.slowest = max(w.row.slowest, recovery(end, begins))
	}
	held, _ := strconv.Atoi(strings.TrimSpace(string(w.read("held"))))
	broke, _ := strconv.Atoi(w.get(w.inboxURL + "/broken"))
	w.row.inFlight, w.row.brokeAnswers = held, broke+failed
	w.sound()
	if len(lost) > 0 {
		w.t.Logf("not arrived: %v …; %d deliveries still wait in the store", lost[:min(20, len(lost))], w.row.waiting)
	}
	for _, line := range a.bad[:min(5, len(a.bad))] {
		w.t.Logf("the receiver says: %s", line)
	}
	return w.row
}

// sound asks the store of the ended service what contradicts itself or waits for nobody.
func (w *world) sound() {
	w.t.Helper()
	db, err := sqlite.Open(w.t.Context(), sqlite.Config{Path: filepath.Join(w.service.Dir, "store.db")})
	if err != nil {
		w.t.Fatal(err)
	}
	waiting, err := db.Records(w.t.Context(), forward.Query{Status: forward.Pending}, 1_000_000)
	w.row.waiting = len(waiting)
	if err := errors.Join(err, db.Check(w.t.Context()), db.Close()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) read(name string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	return b
}

// try is a request of the sender that was acknowledged.
type try struct{ begin, end int64 }

// acknowledged reads the sender's file.
func (w *world) acknowledged() (ids map[int]bool, tries []try) {
	w.t.Helper()
	ids = make(map[int]bool)
	for lines := bufio.NewScanner(bytes.NewReader(w.read("acknowledged"))); lines.Scan(); {
		var n int
		var one try
		if _, err := fmt.Sscan(lines.Text(), &n, &one.begin, &one.end); err != nil {
			w.t.Fatalf("%q: %v", lines.Text(), err)
		}
		ids[n], tries = true, append(tries, one)
	}
	return ids, tries
}

// recovery is the time from the end of a life until something was acknowledged that was sent after it.
func recovery(end time.Time, tries []try) time.Duration {
	first := int64(0)
	for _, one := range tries {
		if one.begin > end.UnixNano() && (first == 0 || one.end < first) {
			first = one.end
		}
	}
	return max(0, time.Duration(first-end.UnixNano()))
}

// arrivals are what the receiver's file says, read so far.
type arrivals struct {
	off   int64
	ids   map[int]map[string]int // number, webhook-id, how often
	total int
	bad   []string
}

func (w *world) arrived(a *arrivals) {
	w.t.Helper()
	if a.ids == nil {
		a.ids = make(map[int]map[string]int)
	}
	f, err := os.Open(filepath.Join(w.dir, "arrived"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(a.off, io.SeekStart); err != nil {
		w.t.Fatal(err)
	}
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return // its rest is being written
		}
		a.off += int64(len(line))
		if strings.HasPrefix(line, "BAD") {
			a.bad = append(a.bad, line)
			continue
		}
		fields := strings.Fields(line)
		n, err := strconv.Atoi(fields[0])
		if err != nil || len(fields) != 3 {
			w.t.Fatalf("%q", line)
		}
		if a.ids[n] == nil {
			a.ids[n] = make(map[string]int, 1)
		}
		a.ids[n][fields[1]]++
		a.total++
	}
}

func notArrived(acknowledged map[int]bool, arrived map[int]map[string]int) (list []int) {
	for n := range acknowledged {
		if arrived[n] == nil {
			list = append(list, n)
		}
	}
	return list
}
