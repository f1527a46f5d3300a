package jiratest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	firstBackoff    = 20 * time.Millisecond // Jira waits minutes; a test should not
	maxRetries      = 5
	deliveryTimeout = 30 * time.Second
)

// delivery is one webhook call with its retries.
type delivery struct {
	site      *Site
	event     string
	client    *client // whose secret signs a dynamic webhook's; nil: an admin webhook's
	secret    string  // of an admin webhook; empty: it is not signed
	url       string
	ids       []int
	body      []byte
	secondary bool

	identifier string
	attempts   int
	status     int // of the last attempt; 0: no answer
	lost       bool
}

// outbox is what is on its way. Guarded by Server.mu.
type outbox struct {
	backoff         time.Duration
	lose, duplicate int
	held            bool
	waiting         []*delivery // while held
	log             []*delivery
	pending         int
	settled         []chan struct{} // closed when pending is 0
	omit            []string        // top-level parts left out of bodies
	extra           map[string]any  // and added to them
}

// Delivery is a webhook call as Deliveries tells of it.
type Delivery struct {
	Site       *Site
	Event      string // webhookEvent
	Identifier string // X-Atlassian-Webhook-Identifier: unique on its site only
	URL        string
	Webhooks   []int // matchedWebhookIds; nil: an admin webhook's
	Body       []byte
	Attempts   int
	Status     int  // of the last answer; 0: none
	Lost       bool // never sent, by LoseDeliveries
}

// Delivered reports whether it was taken.
func (d Delivery) Delivered() bool { return d.Status/100 == 2 }

// Deliveries lists every webhook call so far, in the order in which they were
// due. They are kept until Close.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Delivery, 0, len(s.outbox.log))
	for _, d := range s.outbox.log {
		all = append(all, Delivery{d.site, d.event, d.identifier, d.url, slices.Clone(d.ids), slices.Clone(d.body), d.attempts, d.status, d.lost})
	}
	return all
}

// LoseDeliveries loses the next n deliveries.
func (s *Server) LoseDeliveries(n int) { s.set(func() { s.outbox.lose = n }) }

// DuplicateDeliveries makes the next n deliveries come twice, with one identifier.
func (s *Server) DuplicateDeliveries(n int) { s.set(func() { s.outbox.duplicate = n }) }

// OmitFromBodies leaves top-level parts out of what is delivered from now on,
// such as "issue", which Jira's documentation does not promise for comments, or
// "matchedWebhookIds". Without parts nothing is left out any more.
func (s *Server) OmitFromBodies(parts ...string) {
	s.set(func() { s.outbox.omit = slices.Clone(parts) })
}

// AddToBodies adds top-level parts to what is delivered from now on, as a
// future version of Jira may. Nil adds nothing any more.
func (s *Server) AddToBodies(parts map[string]any) {
	s.set(func() { s.outbox.extra = maps.Clone(parts) })
}

// SetRetryDelay sets how long the first retry of a delivery waits; each further
// one waits twice as long. Defaults to 20 ms, where Jira waits minutes.
func (s *Server) SetRetryDelay(d time.Duration) { s.set(func() { s.outbox.backoff = d }) }

// HoldDeliveries keeps deliveries back until ReleaseDeliveries.
func (s *Server) HoldDeliveries() { s.set(func() { s.outbox.held = true }) }

// ReleaseDeliveries sends what was held back, one after the other, each to its
// end before the next begins; arrange, if it is not nil, puts them into another
// order. Deliveries are held no longer. It returns how many it sent.
func (s *Server) ReleaseDeliveries(arrange func([]Delivery)) int {
	s.mu.Lock()
	held := s.outbox.waiting
	s.outbox.waiting, s.outbox.held = nil, false
	if s.ctx.Err() != nil { // closed
		s.mu.Unlock()
		return 0
	}
	s.outbox.pending += len(held)
	s.sends.Add(1)
	s.mu.Unlock()
	defer s.sends.Done()
	order := make([]Delivery, 0, len(held))
	for _, d := range held {
		order = append(order, Delivery{Site: d.site, Event: d.event, Identifier: d.identifier, URL: d.url, Webhooks: d.ids, Body: d.body})
	}
	if arrange != nil {
		arrange(order)
	}
	for _, shown := range order {
		n := slices.IndexFunc(held, func(d *delivery) bool {
			return d.site == shown.Site && d.identifier == shown.Identifier
		})
		d := held[n]
		held = slices.Delete(held, n, n+1)
		s.carry(d)
	}
	return len(order)
}

// Settled waits until no delivery is on its way: each was taken, or given up
// after its retries. What is held back does not count.
func (s *Server) Settled(ctx context.Context) error {
	s.mu.Lock()
	if s.outbox.pending == 0 {
		s.mu.Unlock()
		return nil
	}
	done := make(chan struct{})
	s.outbox.settled = append(s.outbox.settled, done)
	s.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("jiratest: deliveries are still on their way: %w", ctx.Err())
	}
}

// send puts a delivery on its way. Each has a goroutine of its own, so they
// overtake each other as Jira's do. s.mu is held.
func (s *Server) send(d *delivery) {
	d.identifier = strconv.Itoa(d.site.next("delivery", 70000001))
	o := &s.outbox
	o.log = append(o.log, d)
	if o.lose > 0 {
		o.lose--
		d.lost = true
		return
	}
	copies := 1
	if o.duplicate > 0 {
		o.duplicate--
		copies = 2
	}
	for range copies {
		switch {
		case s.ctx.Err() != nil: // closed
		case o.held:
			o.waiting = append(o.waiting, d)
		default:
			o.pending++
			s.sends.Go(func() { s.carry(d) })
		}
	}
}

// carry delivers, with retries, until the delivery is taken, refused for good,
// given up, or the server closes.
func (s *Server) carry(d *delivery) {
	defer s.arrived()
	s.mu.Lock()
	wait := s.outbox.backoff
	s.mu.Unlock()
	for retry := 0; ; retry++ {
		status := s.attempt(d, retry)
		s.mu.Lock()
		d.attempts++
		d.status = status
		s.mu.Unlock()
		if !again(status) || retry == maxRetries {
			return
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(wait):
			wait *= 2
		}
	}
}

func (s *Server) arrived() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outbox.pending--
	if s.outbox.pending == 0 {
		for _, done := range s.outbox.settled {
			close(done)
		}
		s.outbox.settled = nil
	}
}

// again reports whether Jira tries again after an answer; 0 is none.
func again(status int) bool {
	return status >= 500 || slices.Contains([]int{0, 408, 409, 425, 429}, status)
}

// attempt makes one call and returns its status.
func (s *Server) attempt(d *delivery, retry int) int {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-s.ctx.Done():
		return 0
	}
	ctx, cancel := context.WithTimeout(s.ctx, deliveryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.body))
	if err != nil {
		return http.StatusBadRequest // the address was parsed when it was registered
	}
	h := req.Header
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("User-Agent", "Atlassian Webhook HTTP Client")
	h.Set("X-Atlassian-Webhook-Identifier", d.identifier)
	h.Set("X-Atlassian-Webhook-Flow", map[bool]string{false: "Primary", true: "Secondary"}[d.secondary])
	if retry > 0 {
		h.Set("X-Atlassian-Webhook-Retry", strconv.Itoa(retry))
	}
	switch {
	case d.client != nil:
		s.mu.Lock()
		h.Set("Authorization", "Bearer "+s.hookToken(d.client, Token{Site: d.site}))
		s.mu.Unlock()
	case d.secret != "":
		h.Set("X-Hub-Signature", Signature(d.secret, d.body))
	}
	resp, err := s.sender.Do(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is kept
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Signature is the X-Hub-Signature of an admin webhook with a secret.
func Signature(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
