package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// sender is a product that sends webhooks, signed by the official library of Standard Webhooks. It
// behaves as senders do: what was not acknowledged with 2xx it sends again, under the same webhook-id.
type sender struct {
	address string
	hook    *standardwebhooks.Webhook
	http    *http.Client

	mu           sync.Mutex
	next         int
	tries        int
	acknowledged map[int]bool
	killedAt     time.Time // zero once something that was sent after it was acknowledged
	recovered    chan time.Duration
}

func newSender(t *testing.T, address, secret string) *sender {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &sender{
		address: address, hook: hook, acknowledged: make(map[int]bool), recovered: make(chan time.Duration, 1),
		http: &http.Client{Transport: transport, Timeout: 10 * time.Second},
	}
}

// run sends with some workers, one event each per pause, until stop is closed; what is under way by
// then is sent until it is acknowledged, or ctx ends.
func (s *sender) run(ctx context.Context, workers int, pause time.Duration, stop <-chan struct{}) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { s.work(ctx, pause, stop) })
	}
	all.Wait()
}

func (s *sender) work(ctx context.Context, pause time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		s.mu.Lock()
		n := s.next
		s.next++
		s.mu.Unlock()
		for !s.send(ctx, n) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// send makes one try and reports whether it was acknowledged.
func (s *sender) send(ctx context.Context, n int) bool {
	begin := time.Now()
	body := fmt.Sprintf(`{"n":%d,"filling":%q}`, n, strings.Repeat("x", 200))
	id := "msg_" + strconv.Itoa(n)
	signature, err := s.hook.Sign(id, begin, []byte(body))
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address, strings.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(begin.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	s.mu.Lock()
	s.tries++
	s.mu.Unlock()
	resp, err := s.http.Do(req)
	if err != nil {
		return false
	}
	// A sender looks at the status alone: what follows it may be cut off.
	ok := resp.StatusCode >= 200 && resp.StatusCode < 300
	if ok {
		s.note(n, begin)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return ok
}

func (s *sender) note(n int, begin time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acknowledged[n] = true
	if !s.killedAt.IsZero() && begin.After(s.killedAt) {
		s.recovered <- time.Since(s.killedAt)
		s.killedAt = time.Time{}
	}
}

// killed says that the service is gone now; the channel gets the time until something that is sent
// after it is acknowledged.
func (s *sender) killed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killedAt = time.Now()
}

func (s *sender) count() (sent, tries, acknowledged int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next, s.tries, len(s.acknowledged)
}

// number reads which of the sender's events a delivery is.
func number(t *testing.T, d delivery) int {
	t.Helper()
	var payload struct {
		Body struct {
			N *int `json:"n"`
		} `json:"body"`
	}
	if err := json.Unmarshal(d.event.Payload, &payload); err != nil || payload.Body.N == nil {
		t.Fatalf("delivery %s is not what was sent (%v): %s", d.id, err, d.body)
	}
	return *payload.Body.N
}
