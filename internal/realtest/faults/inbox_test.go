package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// behaviour is how a receiver answers, for some share of its deliveries.
type behaviour string

const (
	fine     behaviour = "fine"
	late     behaviour = "late"     // answers after some milliseconds
	hangs    behaviour = "hangs"    // never answers
	trickles behaviour = "trickles" // answers a byte at a time
	resets   behaviour = "resets"   // breaks the connection
	garbage  behaviour = "garbage"  // answers what is no HTTP
	floods   behaviour = "floods"   // answers 10 GB
	heads    behaviour = "heads"    // answers a header without end
	fails    behaviour = "fails"    // answers 500, 503 or 429
	partly   behaviour = "partly"   // one destination of a hundred hangs or fails, always
)

// inbox is the receiver: it verifies what comes, writes it down, and answers as it was told to.
type inbox struct {
	verifier webhook.Verifier
	clock    bool
	out      *os.File

	mu     sync.Mutex
	random *rand.Rand
	now    behaviour
	share  float64
	broken int // deliveries that were written down and not answered well
}

// runInbox serves until it is killed.
func runInbox(spec inboxSpec) int {
	out, err := os.OpenFile(spec.File, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	in := &inbox{
		verifier: webhook.Verifier{Secrets: []string{spec.Secret}}, clock: spec.Clock, out: out,
		random: rand.New(rand.NewPCG(spec.Seed, 1)), now: fine,
	}
	if spec.Clock {
		in.verifier.Tolerance = 100 * 365 * 24 * time.Hour
	}
	l, err := inherited()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /behave", in.behave)
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, _ *http.Request) {
		in.mu.Lock()
		defer in.mu.Unlock()
		fmt.Fprint(w, in.broken)
	})
	mux.HandleFunc("/", in.receive)
	fmt.Fprintln(os.Stdout, "ready")
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	fmt.Fprintln(os.Stderr, server.Serve(l))
	return 1
}

// inherited returns the listener that the test has given to this process.
func inherited() (net.Listener, error) {
	return net.FileListener(os.NewFile(3, "listener"))
}

func (in *inbox) behave(_ http.ResponseWriter, r *http.Request) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.now = behaviour(r.FormValue("as"))
	if _, err := fmt.Sscan(r.FormValue("share"), &in.share); err != nil {
		panic(err)
	}
}

// note writes a delivery down. Writing to the file is what makes it arrived.
func (in *inbox) note(line string) {
	if _, err := in.out.WriteString(line + "\n"); err != nil {
		panic(err)
	}
}

// read returns a delivery's number, or what is wrong with it.
func (in *inbox) read(r *http.Request) (n int, id string, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, "", errCut
	}
	id = r.Header.Get("Webhook-Id")
	if err := in.verifier.Verify(r.Header, body); err != nil {
		return 0, id, err
	}
	var ev trigger.Event
	if err := json.Unmarshal(body, &ev); err != nil {
		return 0, id, err
	}
	var p struct {
		Body struct {
			N       *int   `json:"n"`
			Filling string `json:"filling"`
		} `json:"body"`
	}
	if err := json.Unmarshal(ev.Payload, &p); err != nil {
		return 0, id, err
	}
	if p.Body.N == nil || p.Body.Filling != filling(*p.Body.N, len(p.Body.Filling)) || ev.ID != id {
		return 0, id, errors.New("it is not what was sent")
	}
	return *p.Body.N, id, nil
}

// errCut means that the service was ended in the middle of a delivery.
var errCut = errors.New("the delivery was cut off")

func (in *inbox) receive(w http.ResponseWriter, r *http.Request) {
	n, id, err := in.read(r)
	switch {
	case errors.Is(err, errCut):
		return
	case err != nil:
		in.note(fmt.Sprintf("BAD %s %v", id, err))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	in.mu.Lock()
	as, first := in.now, in.random.IntN(2) == 0
	if as == partly {
		as = fine
		if strings.HasSuffix(r.URL.Path, "07") {
			as = []behaviour{hangs, fails, resets}[in.random.IntN(3)]
		}
		first = false
	} else if in.random.Float64() >= in.share {
		as = fine
	}
	delay := time.Duration(in.random.IntN(30)) * time.Millisecond
	status := []int{500, 503, 429}[in.random.IntN(3)]
	if as == fine || as == late || as == floods {
		first = true
	} else if first {
		in.broken++
	}
	in.mu.Unlock()
	if first {
		in.note(fmt.Sprintf("%d %s %d", n, id, time.Now().UnixNano()))
	}
	switch as {
	case late:
		wait(r, delay)
		w.WriteHeader(http.StatusNoContent)
	case hangs:
		<-r.Context().Done()
	case fails:
		w.WriteHeader(status)
	case floods:
		flood(w)
	case resets, garbage, trickles, heads:
		hijacked(w, as)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func wait(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// flood answers 200 and 10 GB, or as much of it as is taken.
func flood(w http.ResponseWriter) {
	chunk := make([]byte, 1<<20)
	w.WriteHeader(http.StatusOK)
	for range 10 << 10 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// hijacked answers what net/http would not.
func hijacked(w http.ResponseWriter, as behaviour) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	switch as {
	case resets:
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // RST
		}
	case garbage:
		_, _ = c.Write([]byte("\x16\x03\x01 this is no HTTP \xff\xfe\r\n\r\n"))
	case heads:
		line := []byte("X-Filling: " + strings.Repeat("x", 4000) + "\r\n")
		_, err = c.Write([]byte("HTTP/1.1 200 OK\r\n"))
		for range 1 << 20 {
			if err != nil {
				return
			}
			_, err = c.Write(line)
		}
	default: // trickles
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			<-tick.C
			text := "HTTP/1.1 200 OK\r\nX: "
			b := byte('x')
			if i < len(text) {
				b = text[i]
			}
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
		}
	}
}
