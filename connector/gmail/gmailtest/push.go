package gmailtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	firstBackoff = 20 * time.Millisecond // Pub/Sub waits 10 s; a test should not
	maxBackoff   = time.Second
)

// notify publishes a change of a mailbox to every live watch. s.mu is held.
func (s *Server) notify(m *mailbox) {
	for name, w := range m.watches {
		if s.now().Before(w.expires) {
			s.publish(s.projects[name], m, m.current)
		}
	}
}

// publish hands a notification to the project's push subscription. s.mu is held.
func (s *Server) publish(p *project, m *mailbox, historyID uint64) {
	now := s.now()
	if last, ok := p.last[m.key]; ok && s.interval > 0 && now.Sub(last) < s.interval {
		return // Gmail drops what comes too fast; the next notification stands for it
	}
	p.last[m.key] = now
	if s.drop > 0 {
		s.drop--
		return
	}
	s.published++
	body := s.notification(p, m.address, historyID)
	s.send(p, body)
	if s.dup > 0 {
		s.dup--
		s.send(p, body)
	}
}

// notification is the body of a push. s.mu is held.
func (s *Server) notification(p *project, address string, historyID uint64) []byte {
	var id any = historyID
	if s.idAsString {
		id = strconv.FormatUint(historyID, 10)
	}
	data := mustJSON(struct {
		EmailAddress string `json:"emailAddress"`
		HistoryID    any    `json:"historyId"`
	}{address, id})
	if s.unwrapped {
		return data
	}
	type message struct {
		Data         string `json:"data"`
		MessageID    string `json:"messageId"`
		MessageID2   string `json:"message_id"`
		PublishTime  string `json:"publishTime"`
		PublishTime2 string `json:"publish_time"`
	}
	serial := fmt.Sprint(s.next())
	at := s.now().UTC().Format("2006-01-02T15:04:05.000Z")
	return mustJSON(struct {
		Message      message `json:"message"`
		Subscription string  `json:"subscription"`
	}{message{base64.StdEncoding.EncodeToString(data), serial, serial, at, at}, p.subscription()})
}

// send pushes until it is acknowledged or the server closes. Each push has a
// goroutine of its own, so they overtake each other as Pub/Sub's do. s.mu is held.
func (s *Server) send(p *project, body []byte) {
	p.enqueue(body)
	if p.endpoint == "" || s.ctx.Err() != nil {
		return // a topic without a subscription keeps nothing
	}
	s.pushes.Go(func() {
		for wait := firstBackoff; ; wait = min(2*wait, maxBackoff) {
			if s.push(p, body) {
				return
			}
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}

// push makes one attempt, to where the subscription points now.
func (s *Server) push(p *project, body []byte) (acknowledged bool) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-s.ctx.Done():
		return false
	}
	s.mu.Lock()
	endpoint, token := p.endpoint, s.pushToken(p, Token{})
	s.mu.Unlock()
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return true // SetPush has parsed it: cannot happen, and another try would not help
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)")
	resp, err := s.pusher.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is kept
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusProcessing, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		s.mu.Lock()
		s.delivered++
		s.mu.Unlock()
		return true
	}
	return false
}

func mustJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("gmailtest: encoding: %v", err)) // plain values encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
