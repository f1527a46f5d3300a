package forward_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// bubble runs a test in fake time with a Forwarder of env_A and env_B whose
// requests go to r.
func bubble(t *testing.T, r *receiver, cfg forward.Config, test func(t *testing.T, f *forward.Forwarder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if cfg.Directory == nil {
			cfg.Directory = two(settings("*"), settings("gone.away"))
		}
		cfg.Transport = r
		f := build(t, cfg)
		test(t, f)
	})
}

// pass lets fake time pass, and what it brings about happen. It belongs into a
// bubble: elsewhere it would wait in earnest, and Wait panics.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // time is fake
	synctest.Wait()
}

// running runs f in a bubble until the test ends.
func running(t *testing.T, f *forward.Forwarder) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // Run ends after the test's other work
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	synctest.Wait()
	return stop
}

func TestDeliveredAtOnce(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
		running(t, f)
		began := time.Now()
		mustPost(t, f, hook, "default-key", one("k"))
		synctest.Wait()
		got := r.deliveries()
		if len(got) != 1 || !got[0].at.Equal(began) {
			t.Fatalf("deliveries %v, want one without delay", got)
		}
		h := got[0].header
		if h.Get("Content-Type") != "application/json" || !strings.HasPrefix(h.Get("User-Agent"), "interactor/") {
			t.Errorf("headers %v", h)
		}
		rec, err := f.Event(t.Context(), got[0].event.ID)
		if err != nil || rec.Status != forward.Delivered || len(rec.Deliveries) != 1 || len(rec.Deliveries[0].Attempts) != 1 {
			t.Fatalf("record %+v, %v", rec, err)
		}
		if a := rec.Deliveries[0].Attempts[0]; a.StatusCode != http.StatusNoContent || string(a.Response) != "thanks" || a.Error != "" {
			t.Errorf("attempt %+v", a)
		}
	})
}

func TestRetrySchedule(t *testing.T) {
	t.Parallel()
	standard := []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
	for _, row := range []struct {
		name  string
		retry []time.Duration
		want  []time.Duration
	}{
		{"Standard Webhooks", nil, standard},
		{"own", []time.Duration{time.Second, time.Minute}, []time.Duration{time.Second, time.Minute}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := &receiver{answer: func(int, trigger.Event) (int, http.Header) { return 500, nil }}
			s := settings("*")
			s.Retry = row.retry
			var news []trigger.Event
			cfg := forward.Config{
				Directory: two(s, settings("gone.away")),
				Notify:    func(_ context.Context, ev trigger.Event) { news = append(news, ev) },
			}
			bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
				stop := running(t, f)
				mustPost(t, f, hook, "default-key", one("k"))
				pass(120 * time.Hour)
				stop()
				var got []delivery
				for _, d := range r.deliveries() {
					if d.event.Trigger == noteAdded {
						got = append(got, d)
					}
				}
				if len(got) != len(row.want)+1 {
					t.Fatalf("%d tries, want %d", len(got), len(row.want)+1)
				}
				for i, want := range row.want {
					wait := got[i+1].at.Sub(got[i].at)
					if wait < want*8/10 || wait > want*12/10+time.Second {
						t.Errorf("try %d came after %s, want %s ±20 %%", i+2, wait, want)
					}
					if got[i+1].event.ID != got[0].event.ID || got[i+1].header.Get("Webhook-Id") != got[0].event.ID {
						t.Errorf("try %d has another id", i+2)
					}
					if i > 0 && got[i+1].header.Get("Webhook-Timestamp") == got[i].header.Get("Webhook-Timestamp") {
						t.Errorf("try %d has the timestamp of the former", i+2)
					}
				}
				rec, _ := f.Event(t.Context(), got[0].event.ID)
				if rec.Status != forward.Dead || !strings.Contains(rec.Reason, "tries failed, the last one: status 500") || len(rec.Deliveries[0].Attempts) != len(got) {
					t.Errorf("status %s, reason %q, %d attempts", rec.Status, rec.Reason, len(rec.Deliveries[0].Attempts))
				}
				if len(news) == 0 || news[0].Trigger != forward.DeliveryExhausted {
					t.Errorf("news %v", news)
				}
			})
		})
	}
}

func TestRetryAfterIsNeverUndercut(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		status    int
		after     string
		low, high time.Duration
	}{
		{"429 with seconds", 429, "120", 120 * time.Second, 133 * time.Second},
		{"503 with seconds", 503, "3600", time.Hour, 67 * time.Minute},
		{"503 with a date", 503, "Sat, 01 Jan 2000 02:00:00 GMT", 2 * time.Hour, 133 * time.Minute},
		{"shorter than the schedule", 503, "1", 4 * time.Second, 7 * time.Second},
		{"beyond the limit", 503, "99999999999999999999", 24 * time.Hour, 27 * time.Hour},
		{"nonsense", 503, "soon", 4 * time.Second, 7 * time.Second},
		{"negative", 503, "-5", 4 * time.Second, 7 * time.Second},
		{"at a redirect", 302, "60", time.Minute, 67 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := &receiver{answer: func(n int, _ trigger.Event) (int, http.Header) {
				if n > 1 {
					return 200, nil
				}
				return row.status, http.Header{"Retry-After": {row.after}}
			}}
			bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
				stop := running(t, f)
				mustPost(t, f, hook, "default-key", one("k"))
				pass(40 * time.Hour)
				stop()
				got := r.deliveries()
				if len(got) != 2 {
					t.Fatalf("%d tries, want 2", len(got))
				}
				if wait := got[1].at.Sub(got[0].at); wait < row.low || wait > row.high {
					t.Errorf("the second try came after %s, want %s to %s", wait, row.low, row.high)
				}
			})
		})
	}
}

func TestGonePausesUntilResumed(t *testing.T) {
	t.Parallel()
	gone := atomic.Bool{}
	gone.Store(true)
	r := &receiver{answer: func(int, trigger.Event) (int, http.Header) {
		if gone.Load() {
			return 410, nil
		}
		return 200, nil
	}}
	var news []string
	cfg := forward.Config{
		Directory: two(settings(noteAdded, forward.DestinationRecovered), settings(noteAdded)),
		Notify:    func(_ context.Context, ev trigger.Event) { news = append(news, ev.Environment+" "+ev.Trigger) },
	}
	bubble(t, r, cfg, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		if err := f.Publish(t.Context(), trigger.Event{Trigger: "a.first", Environment: "env_A"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := range 3 {
			if err := f.Publish(t.Context(), trigger.Event{Trigger: fmt.Sprintf("a.later%d", i), Environment: "env_A"}); err != nil {
				t.Fatal(err)
			}
		}
		pass(100 * time.Hour)
		if n := len(r.deliveries()); n != 1 {
			t.Fatalf("%d tries of a paused destination, want 1", n)
		}
		for _, rec := range all(t, f, "env_A") {
			if rec.Status != forward.Paused {
				t.Errorf("%s is %s, want paused", rec.Trigger, rec.Status)
			}
		}
		if reason, since, err := f.Paused(t.Context(), "env_A"); err != nil || since.IsZero() || !strings.Contains(reason, "410") {
			t.Errorf("paused: %q %v %v", reason, since, err)
		}
		// Also after a restart.
		stop()
		stop = running(t, f)
		pass(time.Hour)
		if n := len(r.deliveries()); n != 1 {
			t.Fatalf("%d tries after the restart, want 1", n)
		}
		gone.Store(false)
		if err := f.Resume(t.Context(), "env_A"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		stop()
		if n := len(r.deliveries()); n != 1+4+1 { // and the news
			t.Errorf("%d deliveries in all, want 6", n)
		}
		if want := "[env_A destination.paused env_A destination.recovered]"; fmt.Sprint(news) != want {
			t.Errorf("news %v, want %s", news, want)
		}
	})
}

func TestStatusesOfReceivers(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]forward.Status{
		200: forward.Delivered, 201: forward.Delivered, 299: forward.Delivered,
		301: forward.Pending, 304: forward.Pending, 400: forward.Pending, 404: forward.Pending,
		410: forward.Paused, 429: forward.Pending, 500: forward.Pending, 503: forward.Pending,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			r := &receiver{answer: func(int, trigger.Event) (int, http.Header) {
				return status, http.Header{"Location": {"http://127.0.0.1/elsewhere"}, "Set-Cookie": {"a=b"}}
			}}
			bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
				stop := running(t, f)
				mustPost(t, f, hook, "default-key", one("k"))
				synctest.Wait()
				stop()
				rec, err := f.Event(t.Context(), r.deliveries()[0].event.ID)
				if err != nil || rec.Status != want || len(rec.Deliveries[0].Attempts) != 1 {
					t.Fatalf("record %+v, %v; want %s", rec, err, want)
				}
				if got := rec.Deliveries[0].Attempts[0]; got.StatusCode != status || got.ResponseHeader.Get("Set-Cookie") != "[redacted]" {
					t.Errorf("attempt %+v", got)
				}
			})
		})
	}
}

func TestReceiverThatNeverAnswers(t *testing.T) {
	t.Parallel()
	r := &receiver{wait: func(ctx context.Context, n int) {
		if n == 1 {
			<-ctx.Done()
		}
	}}
	s := settings("*")
	s.Timeout = 7 * time.Second
	bubble(t, r, forward.Config{Directory: two(s, settings("gone.away"))}, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		mustPost(t, f, hook, "default-key", one("k"))
		pass(time.Minute)
		stop()
		rec, err := f.Event(t.Context(), r.deliveries()[0].event.ID)
		if err != nil || rec.Status != forward.Delivered {
			t.Fatalf("record %+v, %v", rec, err)
		}
		if a := rec.Deliveries[0].Attempts[0]; a.Error != "timeout: no answer within 7s" || a.Took != 7*time.Second {
			t.Errorf("first attempt %+v", a)
		}
	})
}

func TestCustomHeaderIsSentAndRedacted(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	s := settings("*")
	s.HeaderKey, s.HeaderValue = "x-acme-token", "s3cr3t"
	s.Secrets = append(s.Secrets, webhook.NewSecret())
	bubble(t, r, forward.Config{Directory: two(s, settings("gone.away"))}, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		mustPost(t, f, hook, "default-key", one("k"))
		synctest.Wait()
		stop()
		d := r.deliveries()[0]
		if d.header.Get("X-Acme-Token") != "s3cr3t" || strings.Count(d.header.Get("Webhook-Signature"), "v1,") != 2 {
			t.Errorf("headers %v", d.header)
		}
		rec, _ := f.Event(t.Context(), d.event.ID)
		if got := rec.Deliveries[0].Attempts[0].RequestHeader; got.Get("X-Acme-Token") != "[redacted]" || got.Get("Webhook-Id") != d.event.ID {
			t.Errorf("recorded headers %v", got)
		}
	})
}

func TestReplaySharesTheID(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	bubble(t, r, forward.Config{}, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		mustPost(t, f, hook, "default-key", one("k"))
		synctest.Wait()
		first := r.deliveries()[0]
		d, err := f.Replay(t.Context(), first.event.ID)
		if err != nil || !d.Replay || d.Event != first.event.ID {
			t.Fatalf("replay: %+v, %v", d, err)
		}
		synctest.Wait()
		stop()
		got := r.deliveries()
		if len(got) != 2 || got[1].header.Get("Webhook-Id") != first.event.ID || string(got[1].event.Payload) != string(first.event.Payload) {
			t.Fatalf("deliveries %v", got)
		}
		rec, _ := f.Event(t.Context(), first.event.ID)
		if len(rec.Deliveries) != 2 || rec.Deliveries[1].ID != d.ID || !rec.Deliveries[1].Replay {
			t.Errorf("record %+v", rec)
		}
		if _, err := f.Replay(t.Context(), "evt_nothing"); !errors.Is(err, forward.ErrNotFound) {
			t.Errorf("unknown event: %v", err)
		}
	})
}

func TestSettingsThatCannotBeReadCostNoTry(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	d := two(settings("*"), settings("gone.away"))
	bubble(t, r, forward.Config{Directory: d}, func(t *testing.T, f *forward.Forwarder) {
		mustPost(t, f, hook, "default-key", one("k"))
		d.breaks(errors.New("the KMS is away"))
		stop := running(t, f)
		pass(3 * time.Hour)
		d.breaks(nil)
		pass(time.Minute)
		stop()
		rec, _ := f.Event(t.Context(), all(t, f, "env_A")[0].ID)
		if rec.Status != forward.Delivered || len(rec.Deliveries[0].Attempts) != 1 {
			t.Errorf("record %+v", rec)
		}
	})
}

// A corrected URL rescues the backlog: settings are read at each try.
func TestSettingsAreReadAtEachTry(t *testing.T) {
	t.Parallel()
	r := &receiver{answer: func(n int, _ trigger.Event) (int, http.Header) {
		if n == 1 {
			return 500, nil
		}
		return 200, nil
	}}
	d := two(settings("*"), settings("gone.away"))
	bubble(t, r, forward.Config{Directory: d}, func(t *testing.T, f *forward.Forwarder) {
		stop := running(t, f)
		mustPost(t, f, hook, "default-key", one("k"))
		synctest.Wait()
		s := settings("*")
		s.URL = "https://corrected.example/"
		d.mu.Lock()
		d.settings["env_A"] = s
		d.mu.Unlock()
		pass(time.Minute)
		stop()
		rec, _ := f.Event(t.Context(), r.deliveries()[0].event.ID)
		if a := rec.Deliveries[0].Attempts; len(a) != 2 || a[0].URL == a[1].URL || a[1].URL != s.URL {
			t.Errorf("attempts %+v", a)
		}
	})
}
