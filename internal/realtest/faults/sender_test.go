package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/interactorhq/interactor/webhook"
)

// senderReport is what a sender prints at its end.
type senderReport struct {
	Sent, Acknowledged, Tries int
	Statuses                  map[int]int // 0: no answer
}

// sender sends events and writes down which were acknowledged. What was not, it sends again under
// the same id, as providers do.
type sender struct {
	senderSpec
	client *http.Client
	out    *os.File

	mu     sync.Mutex
	next   int
	report senderReport
}

// runSender sends until its stdin ends, and then until all that it has begun is acknowledged.
func runSender(spec senderSpec) int {
	out, err := os.OpenFile(spec.File, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer out.Close()
	s := &sender{
		senderSpec: spec, out: out,
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: spec.Workers}},
		report: senderReport{Statuses: map[int]int{}},
	}
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	var all sync.WaitGroup
	for range spec.Workers {
		all.Go(func() { s.work(stop) })
	}
	all.Wait()
	s.report.Sent = s.next
	if err := json.NewEncoder(os.Stdout).Encode(s.report); err != nil {
		return 1
	}
	return 0
}

func (s *sender) work(stop <-chan struct{}) {
	pause := time.NewTicker(max(s.Pause, time.Millisecond))
	defer pause.Stop()
	for {
		s.mu.Lock()
		n := s.next
		if s.Total > 0 && n >= s.Total {
			s.mu.Unlock()
			return
		}
		s.next++
		s.mu.Unlock()
		for !s.send(n) {
			<-pause.C
		}
		select {
		case <-stop:
			return
		default:
		}
		if s.Pause > 0 {
			<-pause.C
		}
	}
}

// send makes one try and says whether it was acknowledged.
func (s *sender) send(n int) bool {
	begin := time.Now()
	body := fmt.Appendf(nil, `{"n":%d,"filling":%q}`, n, filling(n, s.Body))
	url := s.URL
	if s.Tenants > 0 {
		url += "/d" + strconv.Itoa(n%s.Tenants)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	id := "msg_" + strconv.Itoa(n)
	if s.Bearer {
		req.Header.Set("Authorization", "Bearer "+s.Secret)
		req.Header.Set("Idempotency-Key", id)
	} else if err := (webhook.Signer{Secrets: []string{s.Secret}}).Sign(req.Header, id, begin, body); err != nil {
		panic(err)
	}
	status := 0
	resp, err := s.client.Do(req)
	if err == nil {
		status = resp.StatusCode
	}
	// A sender looks at the status alone: what follows it may be cut off.
	ok := status >= 200 && status < 300
	s.mu.Lock()
	s.report.Tries++
	s.report.Statuses[status]++
	if ok {
		s.report.Acknowledged++
		if _, err := fmt.Fprintf(s.out, "%d %d %d\n", n, begin.UnixNano(), time.Now().UnixNano()); err != nil {
			panic(err)
		}
	}
	s.mu.Unlock()
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	return ok
}
