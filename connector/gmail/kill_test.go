package gmail_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// childEnv holds a plan: this program is the Interactor that the test kills.
const childEnv = "GMAIL_TEST_CHILD"

// plan is what the child is told.
type plan struct {
	Path, Key, Address, Receiver, Google string
	Gmail                                gmail.Config
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// keys fetches Google's public keys from the stand-in.
type keys struct{ google string }

func (k keys) RoundTrip(r *http.Request) (*http.Response, error) {
	u, err := url.Parse(k.google)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = u.Scheme, u.Host, ""
	return http.DefaultTransport.RoundTrip(r)
}

// child is an Interactor as its own process. It says "link …" and "watched" on
// its output and runs until it is killed.
func child(text string) error {
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: p.Path})
	if err != nil {
		return err
	}
	p.Gmail.HTTPClient = &http.Client{Transport: keys{p.Google}, Timeout: 10 * time.Second}
	in, err := interactor.New(interactor.Config{
		Store: db, SealingKeys: []string{p.Key}, PublicURL: "http://" + p.Address, AllowPrivateNetworks: true,
		Connectors: []interactor.Connector{gmail.New(p.Gmail)},
		Forwarding: forward.Settings{URL: p.Receiver, Triggers: trigger.List("gmail.*", subscription.Gap)},
		Logger:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.Address)
	if err != nil {
		return err
	}
	link, err := in.AuthURL(ctx, interactor.ConnectRequest{Connector: gmail.Name, Account: "user-1"})
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- in.Run(ctx) }()
	go func() { failed <- (&http.Server{Handler: in.Handler(), ReadHeaderTimeout: time.Minute}).Serve(l) }()
	fmt.Println("link", link)
	tick := time.NewTicker(10 * time.Millisecond)
	for {
		select {
		case err := <-failed:
			return err
		case <-tick.C:
		}
		for s, err := range in.Subscriptions.Subscriptions(ctx, subscription.Query{Environment: "*"}) {
			if err == nil && s.Healthy() && s.Cursor != "" {
				fmt.Println("watched")
				return <-failed
			}
		}
	}
}

// service starts and kills the child.
type service struct {
	t    *testing.T
	plan plan
	cmd  *exec.Cmd
	out  *bufio.Reader
}

func (s *service) start() (link string) {
	s.t.Helper()
	b, err := json.Marshal(s.plan)
	if err != nil {
		s.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.CommandContext(context.WithoutCancel(s.t.Context()), self)
	s.cmd.Env, s.cmd.Stderr = append(os.Environ(), childEnv+"="+string(b)), os.Stderr
	pipe, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.out = bufio.NewReader(pipe)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return s.says("link ")
}

// says reads the child's next word.
func (s *service) says(prefix string) string {
	s.t.Helper()
	line, err := s.out.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		s.t.Fatalf("the child says %q, %v", line, err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, prefix))
}

// kill ends the child as kill -9 does.
func (s *service) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // says that it was killed
		s.cmd = nil
	}
}

// letterbox is the receiver: it counts under which ids an event comes.
type letterbox struct {
	mu  sync.Mutex
	ids map[happening]map[string]int // how often it came under which id
}

func (l *letterbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var ev trigger.Event
	if err := json.NewDecoder(r.Body).Decode(&ev); err != nil || r.Header.Get("webhook-id") != ev.ID {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := identify(ev)
	if l.ids[h] == nil {
		l.ids[h] = map[string]int{}
	}
	l.ids[h][ev.ID]++
	w.WriteHeader(http.StatusNoContent)
}

func (l *letterbox) seen(h happening) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids[h]) > 0
}

// gaps is how many losses were told.
func (l *letterbox) gaps() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h := range l.ids {
		if h[0] == subscription.Gap {
			n++
		}
	}
	return n
}

// Thousands of random steps in a mailbox while pushes are lost, told twice and
// late, bursts are told once, the history and tokens expire, and the Interactor
// is killed and started again and again: what arrives at the receiver is what the
// oracle expects, none missing, none invented, none under two ids.
func TestRandomKill(t *testing.T) {
	t.Parallel()
	steps, kills := 1500, 8
	if testing.Short() {
		steps, kills = 300, 2
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			box := &letterbox{ids: map[happening]map[string]int{}}
			receiver := httptest.NewServer(box)
			t.Cleanup(receiver.Close)
			w := newWorld(t, google, seed)
			google.Draft(alice, mail("a draft from before"))

			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := &service{t: t, plan: plan{
				Path: filepath.Join(t.TempDir(), "interactor.db"), Key: seal.NewKey(), Address: l.Addr().String(),
				Receiver: receiver.URL, Google: google.URL, Gmail: google.Config(),
			}}
			_ = l.Close() // the child listens there, each time
			if err := google.SetPush("http://" + s.plan.Address + "/webhooks/gmail"); err != nil {
				t.Fatal(err)
			}
			link := s.start()
			t.Cleanup(s.kill)
			if err := google.Consent(t.Context(), link, alice); err != nil {
				t.Fatal(err)
			}
			s.says("watched")

			lost := 0
			for step := range steps {
				switch n := w.rnd.IntN(100); {
				case n < 2:
					google.DropPushes(1 + w.rnd.IntN(4))
				case n < 4:
					google.DuplicatePushes(1 + w.rnd.IntN(4))
				case n < 6: // late, or about what is not listed yet
					google.Notify(alice, google.Status(alice).HistoryID-uint64(w.rnd.IntN(1000))+200)
				case n < 7:
					google.SetNotifyInterval(time.Duration(w.rnd.IntN(2)) * time.Second)
				case n < 9:
					google.ExpireUsedTokens()
				case n < 11:
					google.SetPageSize(w.rnd.IntN(6))
				case n < 12:
					google.Fail(gmailtest.Fault{Status: 503, Times: 1 + w.rnd.IntN(3), Skip: w.rnd.IntN(3), RetryAfter: time.Second})
				case step > steps/3 && lost == 0 || n == 99 && lost < 3:
					// Until the loss is noticed nothing else happens: what has not
					// arrived by then may have been stored or not.
					lost++
					google.Heal()
					google.ExpireHistory(alice)
					google.SetNotifyInterval(0)
					google.DropPushes(0)
					w.arrived(google.Send(mail("noticed"))[alice], true, false, false)
					until(t, "the loss is noticed", func() bool { return box.gaps() >= lost })
					w.forgotten(box.seen)
				default:
					w.happens()
				}
				if step%10 == 9 { // so that reading and happening interleave
					moment := time.NewTimer(time.Duration(w.rnd.IntN(60)) * time.Millisecond)
					<-moment.C
				}
				if step%(steps/kills) == steps/kills-1 {
					s.kill()
					for range w.rnd.IntN(5) { // while nobody is there
						w.happens()
					}
					s.start()
				}
			}
			ended := time.Now()
			google.Heal()
			google.SetNotifyInterval(0)
			google.DropPushes(0)
			w.arrived(google.Send(mail("the last one"))[alice], true, false, false)
			for wait := time.NewTicker(20 * time.Millisecond); !w.complete(box.seen); <-wait.C {
				if time.Since(ended) > time.Minute { // judge says what is missing
					break
				}
			}
			s.kill()
			box.mu.Lock()
			defer box.mu.Unlock()
			var all []happening
			again := 0
			for h, ids := range box.ids {
				if len(ids) > 1 {
					t.Errorf("%v came under %d ids", h, len(ids))
				}
				for _, n := range ids {
					again += n - 1
				}
				if h[0] == subscription.Gap {
					continue
				}
				all = append(all, h)
			}
			w.judge(func(h happening) bool { return len(box.ids[h]) > 0 }, all)
			if len(w.must) < steps/3 {
				t.Errorf("only %d events had to come", len(w.must))
			}
			t.Logf("%d events had to come, %d came, %d deliveries came again, the history was lost %d times", len(w.must), len(all), again, lost)
		})
	}
}
