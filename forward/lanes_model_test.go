package forward_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// Random destinations, receivers that come and go, restarts and clocks that move:
// what the receivers saw is held against a model of what a lane may do. SEED=n
// repeats a scenario (the jitter of waits is drawn anew).
func TestLanesModel(t *testing.T) {
	t.Parallel()
	var seeds []uint64
	if s := os.Getenv("SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("SEED: %v", err)
		}
		seeds = []uint64{n}
	}
	for len(seeds) == 0 || (os.Getenv("SEED") == "" && len(seeds) < scenarios(t)) {
		seeds = append(seeds, rand.Uint64())
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("SEED=%d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newWorld(seed).play(t) })
		})
	}
}

func scenarios(t *testing.T) int {
	if testing.Short() {
		return 5
	}
	t.Helper()
	return 40
}

// world is one scenario: its destinations, what their receivers do, and what
// happened.
type world struct {
	rng    *rand.Rand
	seed   uint64
	limits forward.Limits
	envs   []string
	dir    *directory

	mu     sync.Mutex
	mode   map[string]string
	events []published
	log    []happening
	tries  map[int]int // by event
	paused int         // news
}

type published struct {
	env, account string
}

// happening is something that the model looks at, in the order of the log.
type happening struct {
	what  string // start, end, cut (short by the end of Run), run, resume
	at    time.Time
	env   string
	event int
	begun int // of an end: index of its start
	code  int // 0: no answer
	after time.Duration
}

func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	pick := func(n ...int) int { return n[rng.IntN(len(n))] }
	w := &world{
		rng: rng, seed: seed, mode: map[string]string{}, tries: map[int]int{},
		limits: forward.Limits{
			PerLane: pick(1, 3, 8), InFlight: pick(2, 8, 64), InMemory: int64(pick(4<<10, 16<<10, 64<<20)),
			DrainTimeout: time.Duration(pick(1, 60)) * time.Second, MaxRetryAfter: time.Duration(pick(1, 24)) * time.Hour,
		},
		dir: two(settings(), settings()),
	}
	for i := range pick(1, 2, 5) {
		env := fmt.Sprintf("env_%d", i)
		s := settings()
		s.URL = "https://" + strings.ReplaceAll(env, "_", "-") + ".example/"
		s.Timeout = 5 * time.Second
		s.RateLimit = []float64{0, 0, 0.5, 3, 20}[rng.IntN(5)]
		s.Concurrency = pick(0, 0, 1, 2, 5)
		s.Ordered = rng.IntN(3) == 0
		s.PauseAfter = time.Duration(pick(-1, 0, 2, 5)) * time.Hour
		for range pick(1, 3, 6) {
			s.Retry = append(s.Retry, time.Duration(pick(1, 30, 600, 7200))*time.Second)
		}
		w.envs, w.mode[env], w.dir.settings[env] = append(w.envs, env), "up", s
	}
	return w
}

func (w *world) note(h happening) (index int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h.at = time.Now()
	w.log = append(w.log, h)
	return len(w.log) - 1
}

// RoundTrip is the receivers'. What one does with a try depends on the seed, the
// event, how often it came and the receiver's mode alone; no two answers come at
// the same instant.
func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var ev trigger.Event
	if err := ev.UnmarshalJSON(body); err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(string(ev.Payload))
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.tries[n]++
	rng := rand.New(rand.NewPCG(w.seed+uint64(n), uint64(w.tries[n])))
	mode := w.mode[ev.Environment]
	w.mu.Unlock()
	h := happening{what: "start", env: ev.Environment, event: n}
	begun := w.note(h)
	h.what, h.begun = "end", begun

	if mode == "flaky" {
		mode = []string{"up", "up", "down", "hang", "busy", "broken", "picky"}[rng.IntN(7)]
	}
	wait := time.Duration(rng.Int64N(int64(300 * time.Millisecond)))
	switch mode {
	case "up":
		h.code = 200
	case "down":
		wait /= 100
	case "hang":
		wait = time.Hour
	case "busy":
		h.code = []int{429, 503}[rng.IntN(2)]
		h.after = time.Duration(max(0, rng.IntN(1200)-600)) * time.Second
	case "broken":
		h.code = 500
	case "picky":
		h.code = []int{200, 404}[n%2]
	case "gone":
		h.code = 410
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Context().Done():
		if h.code = 0; errors.Is(req.Context().Err(), context.Canceled) {
			h.what = "cut"
		}
		w.note(h)
		return nil, req.Context().Err()
	}
	w.note(h)
	if h.code == 0 {
		return nil, syscall.ECONNREFUSED
	}
	header := http.Header{}
	if h.after > 0 {
		header.Set("Retry-After", strconv.Itoa(int(h.after/time.Second)))
	}
	return &http.Response{StatusCode: h.code, Header: header, Body: http.NoBody}, nil
}

// play runs the scenario and judges it.
func (w *world) play(t *testing.T) {
	m := newMemory()
	f := build(t, forward.Config{
		Store: m, Directory: w.dir, Transport: w, Limits: w.limits,
		Notify: func(_ context.Context, ev trigger.Event) {
			if ev.Trigger == forward.DestinationPaused {
				w.mu.Lock()
				w.paused++
				w.mu.Unlock()
			}
		},
	})
	run := func() func() {
		w.note(happening{what: "run"})
		return running(t, f)
	}
	resume := func(env string) {
		w.note(happening{what: "resume", env: env})
		if err := f.Resume(t.Context(), env); err != nil {
			t.Fatal(err)
		}
	}
	stop := run()
	modes := []string{"up", "up", "up", "down", "hang", "busy", "broken", "picky", "gone", "flaky", "flaky"}
	for range 80 {
		env := w.envs[w.rng.IntN(len(w.envs))]
		switch n := w.rng.IntN(100); {
		case n < 45:
			for range 1 + w.rng.IntN(15) {
				w.publish(t, f, env)
			}
			if n%2 == 0 {
				synctest.Wait()
			}
		case n < 75:
			unit := []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, time.Minute, time.Hour}[w.rng.IntN(5)]
			pass(time.Duration(w.rng.Int64N(int64(10 * unit))))
		case n < 88:
			w.mu.Lock()
			w.mode[env] = modes[w.rng.IntN(len(modes))]
			w.mu.Unlock()
		case n < 94:
			synctest.Wait()
			resume(env)
		default:
			stop()
			m.reopen()
			stop = run()
		}
	}
	w.mu.Lock()
	for env := range w.mode {
		w.mode[env] = "up"
	}
	w.mu.Unlock()
	for range 2 { // what was in flight may pause a destination once more
		pass(time.Minute)
		for _, env := range w.envs {
			resume(env)
		}
	}
	pass(30 * time.Hour)
	stop()
	tries := w.judge(t)
	if n := m.waiting(); n > 0 {
		t.Errorf("%d tasks are left", n)
	}
	for _, env := range w.envs {
		for _, rec := range all(t, f, env) {
			rec, err := f.Event(t.Context(), rec.ID)
			if err != nil {
				t.Fatal(err)
			}
			n, _ := strconv.Atoi(string(rec.Payload))
			if got := len(rec.Deliveries[0].Attempts); got != tries[n].tries {
				t.Errorf("event %d: %d attempts are recorded of %d tries", n, got, tries[n].tries)
			}
		}
	}
	if t.Failed() {
		t.Logf("limits %+v", w.limits)
		for _, env := range w.envs {
			t.Logf("%s: %v", env, w.dir.settings[env])
		}
	}
}

func (w *world) publish(t *testing.T, f *forward.Forwarder, env string) {
	account := fmt.Sprint("user-", w.rng.IntN(3))
	w.mu.Lock()
	n := len(w.events)
	w.events = append(w.events, published{env, account})
	w.mu.Unlock()
	err := f.Publish(t.Context(), trigger.Event{
		Trigger: "a.b", Environment: env, Account: account, Payload: json.RawMessage(strconv.Itoa(n)),
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// laneModel is what is known about a destination from what its receiver saw.
type laneModel struct {
	settings forward.Settings
	inFlight int
	last     time.Time // activity
	starts   []time.Time

	outages, opened int
	open, probing   bool
	probe           int // index of its start
	closedAt        time.Time
	closedUntil     time.Time // by the breaker

	restFrom, restUntil time.Time
	paused              bool
	pausedAt            time.Time
	failing             time.Time
}

// eventModel is what is known about an event.
type eventModel struct {
	tries    int
	ready    time.Time // the next try is not before
	finished bool
}

// judge holds the log against the model, and returns what became of the events.
func (w *world) judge(t *testing.T) []eventModel {
	lanes := map[string]*laneModel{}
	for _, env := range w.envs {
		lanes[env] = &laneModel{settings: w.dir.settings[env]}
	}
	events := make([]eventModel, len(w.events))
	began := time.Time{}
	var runs []time.Time
	pauses, all := 0, 0
	for i, h := range w.log {
		l := lanes[h.env]
		wrong := func(format string, args ...any) {
			t.Errorf("%s, event %d at %s: %s", h.env, h.event, h.at.Format("02 15:04:05.000000"), fmt.Sprintf(format, args...))
		}
		switch h.what {
		case "run":
			began, runs = h.at, append(runs, h.at)
			for _, l := range lanes {
				l.outages, l.opened, l.open, l.probing = 0, 0, false, false
			}
		case "resume":
			*l = laneModel{settings: l.settings, inFlight: l.inFlight, starts: l.starts, last: h.at}
		case "start":
			all++
			l.inFlight++
			l.starts = append(l.starts, h.at)
			l.start(i, h, wrong)
			if most := w.limits.PerLane; l.inFlight > most || l.settings.Concurrency > 0 && l.inFlight > l.settings.Concurrency {
				wrong("%d tries are in flight", l.inFlight)
			}
			if all > w.limits.InFlight {
				wrong("%d tries are in flight altogether", all)
			}
			if e := events[h.event]; e.finished || h.at.Before(e.ready) {
				wrong("try %d came at once, or too early: finished %v, ready at %s", e.tries+1, e.finished, e.ready)
			}
			for n, p := range w.events[:h.event] {
				if l.settings.Ordered && p == w.events[h.event] && !events[n].finished {
					wrong("event %d of %s is not finished", n, p.account)
				}
			}
		case "cut": // as if it had not been
			all--
			l.inFlight--
		case "end":
			all--
			l.inFlight--
			if l.end(h, w.log[h.begun].at, began) {
				pauses++
			}
			events[h.event].end(h, l.settings, w.limits)
		}
		if l != nil {
			l.last = h.at
		}
	}
	for n, e := range events {
		if !e.finished {
			t.Errorf("event %d of %s was neither delivered nor given up", n, w.events[n].env)
		}
	}
	for env, l := range lanes {
		l.pace(t, env, runs)
	}
	if pauses != w.paused {
		t.Errorf("%d pauses were told, want %d", w.paused, pauses)
	}
	return events
}

// start judges whether a try may start. What happens in the same instant may
// have happened in another order.
func (l *laneModel) start(i int, h happening, wrong func(string, ...any)) {
	if h.at.Sub(l.last) > 4*time.Minute { // the lane may have been forgotten
		l.outages, l.opened, l.open, l.probing = 0, 0, false, false
	}
	if l.paused && h.at.After(l.pausedAt) {
		wrong("the destination is paused")
	}
	if h.at.After(l.restFrom) && h.at.Before(l.restUntil) {
		wrong("the receiver wants to be left alone until %s", l.restUntil)
	}
	if !l.open || !h.at.After(l.closedAt) {
		return
	}
	if h.at.Before(l.closedUntil) {
		wrong("the breaker is open until %s", l.closedUntil)
	}
	if l.probing {
		wrong("a probe is on its way")
	}
	l.probing, l.probe = true, i
}

// end takes note of a try's end, and says whether it pauses the destination.
func (l *laneModel) end(h happening, start, began time.Time) (pauses bool) {
	probe := l.open && l.probing && l.probe == h.begun
	switch {
	case h.code == 0, h.code == 429, h.code >= 500:
		if l.open && !probe {
			break
		}
		if !l.open {
			if l.outages++; l.outages < 5 {
				break
			}
		}
		least := min(time.Second<<min(l.opened, 6), time.Minute) * 8 / 10
		l.open, l.probing, l.outages, l.closedAt, l.closedUntil = true, false, 0, h.at, h.at.Add(least)
		l.opened++
	case !l.open || probe:
		l.outages, l.opened, l.open, l.probing = 0, 0, false, false
	}
	if until := h.at.Add(h.after); h.after > 0 && until.After(l.restUntil) {
		l.restFrom, l.restUntil = h.at, until
	}
	if h.code == 200 {
		l.failing = time.Time{}
		return false
	}
	after := l.settings.PauseAfter
	if after == 0 {
		after = 120 * time.Hour
	}
	pauses = h.code == 410
	if l.failing.IsZero() {
		l.failing = start
	} else if after > 0 && start.Sub(l.failing) >= after && h.at.Sub(began) >= min(time.Hour, after) {
		pauses = true
	}
	if !pauses || l.paused {
		return false
	}
	l.paused, l.pausedAt = true, h.at
	return true
}

// end takes note of a try's end.
func (e *eventModel) end(h happening, s forward.Settings, limits forward.Limits) {
	e.tries++
	switch {
	case h.code == 200:
		e.finished = true
	case h.code == 410: // due at once, when its destination goes on
		e.ready = h.at
	case e.tries > len(s.Retry):
		e.finished = true
	default:
		e.ready = h.at.Add(max(s.Retry[e.tries-1]*8/10, min(h.after, limits.MaxRetryAfter)))
	}
}

// pace judges the rate: no stretch of time has more tries than there were tokens.
func (l *laneModel) pace(t *testing.T, env string, runs []time.Time) {
	rate := l.settings.RateLimit
	if rate == 0 {
		return
	}
	burst := int(max(1, rate))
	for i, from := range l.starts {
		for j, to := range l.starts[i:] {
			most := burst + int(to.Sub(from).Seconds()*rate)
			for _, run := range runs { // each begins with a token
				if run.After(from) && !run.After(to) {
					most++
				}
			}
			if j+1 > most {
				t.Errorf("%s: %d tries in %s, want at most %d", env, j+1, to.Sub(from), most)
				return
			}
		}
	}
}
