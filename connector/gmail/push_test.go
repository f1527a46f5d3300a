package gmail_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

// receiver takes pushes as the engine does: Verify, Decode, route by Key, and
// Expand in a lane of its own.
type receiver struct {
	*rig
	mu      sync.Mutex
	answer  func(n int) int // status of the nth push; 0: go on
	pushes  int
	refused int
	news    chan struct{}
}

func newReceiver(t *testing.T, google *gmailtest.Server, r *rig) *receiver {
	t.Helper()
	rc := &receiver{rig: r, news: make(chan struct{}, 1000)}
	app, _ := r.c.DefaultApp()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		in := &connector.Inbound{
			Method: req.Method, URL: "http://" + req.Host + req.URL.RequestURI(), Header: req.Header, Body: body,
			ReceivedAt: time.Now(), App: app.Values(),
		}
		rc.mu.Lock()
		defer rc.mu.Unlock()
		rc.pushes++
		if rc.answer != nil {
			if status := rc.answer(rc.pushes); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		if err := r.c.Verify(req.Context(), in); err != nil {
			rc.refused++
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		d, err := r.c.Decode(in)
		if err != nil {
			w.WriteHeader(http.StatusOK)
			return
		}
		if slices.Equal(d.Notices[0].To, r.sub.Identity.Keys) {
			rc.news <- struct{}{}
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(google.Close) // before the server, which waits for its clients
	if err := google.SetPush(server.URL + "/webhooks/gmail"); err != nil {
		t.Fatal(err)
	}
	return rc
}

// until catches up at each push until n occurrences are told.
func (rc *receiver) until(n int) {
	rc.t.Helper()
	deadline := time.After(10 * time.Second)
	for len(rc.told) < n {
		select {
		case <-rc.news:
			rc.catchUp()
		case <-deadline:
			rc.t.Fatalf("told %d of %d after 10 s", len(rc.told), n)
		}
	}
}

func TestPush(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		set    func(*gmailtest.Server)
		answer func(n int) int
	}{
		{"as it should be", nil, nil},
		{"history id as text", func(g *gmailtest.Server) { g.SetHistoryIDAsString(true) }, nil},
		{"unwrapped", func(g *gmailtest.Server) { g.SetUnwrapped(true) }, nil},
		{"told twice", func(g *gmailtest.Server) { g.DuplicatePushes(100) }, nil},
		{"first ones lost", func(g *gmailtest.Server) { g.DropPushes(5) }, nil},
		{"one for a burst", func(g *gmailtest.Server) {
			g.SetNotifyInterval(time.Hour) // until the last mail: its notification stands for all
		}, nil},
		{"refused at first", nil, func(n int) int { return []int{503, 500, 401, 404, 429, 302}[min(n, 6)-1] * b2i(n < 6) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			r := newRig(t, google, alice, "gmail.*")
			rc := newReceiver(t, google, r)
			rc.mu.Lock()
			rc.answer = tt.answer
			rc.mu.Unlock()
			if tt.set != nil {
				tt.set(google)
			}
			const mails = 8
			var sent []string
			for i := range mails {
				if i == mails-1 {
					google.SetNotifyInterval(0)
				}
				sent = append(sent, google.Send(mail(fmt.Sprint(i)))[alice])
			}
			rc.until(mails)
			r.want(gmail.EmailSent, sent...)
			rc.mu.Lock()
			defer rc.mu.Unlock()
			if rc.refused > 0 {
				t.Errorf("%d pushes did not verify", rc.refused)
			}
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// After Unsubscribe, and after 7 days without renewal, nothing is pushed. The
// poll that is the safety net finds the mail all the same.
func TestSafetyPoll(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, "gmail.*")
	rc := newReceiver(t, google, r)
	google.ExpireWatches(alice)
	before, _ := google.Pushes()
	id := google.Send(mail("unheard"))[alice]
	if after, _ := google.Pushes(); after != before {
		t.Errorf("%d notifications without a watch", after-before)
	}
	rc.catchUp()
	r.want(gmail.EmailSent, id)
}

// A push about somebody else's mailbox verifies and decodes, and is addressed to nobody here.
func TestPushOfAnotherMailbox(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, "gmail.*")
	d, err := r.c.Decode(&connector.Inbound{Body: google.Notification(bob, 99)})
	if err != nil || slices.Equal(d.Notices[0].To, r.sub.Identity.Keys) {
		t.Errorf("%+v, %v", d, err)
	}
}
