package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/interactorhq/interactor/api"
	connectorwebhook "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/webhook"
)

// TestKill: 20 × kill -9 of examples/server at random moments under load from a signed sender. Every
// acknowledged event arrives, duplicates share their webhook-id, a restart needs no hand.
//
// SEED=n repeats a run's choices, though not what the kernel makes of them.
func TestKill(t *testing.T) { //nolint:paralleltest // it says how long recovery takes, so nothing runs beside it
	const kills = 20
	random := newRandom(t)
	inbox, signing, sending := newReceiver(t), webhook.NewSecret(), webhook.NewSecret()
	inbox.answer = func(delivery) int { // as busy receivers do: late, and now and then in trouble
		<-time.After(random.upTo(20 * time.Millisecond))
		if random.upTo(20) == 0 {
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	}
	retry := []string{"100ms", "200ms", "500ms", "1s", "1s", "2s", "2s", "2s", "2s", "2s"}
	s := newService(t, object{"webhook": object{}}, object{
		"url": inbox.url, "secrets": []string{signing}, "triggers": []string{connectorwebhook.Received}, "retry": retry,
	})
	s.start(t)
	from := newSender(t, connectSender(t, s, sending), sending)

	stop, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		from.run(t.Context(), 8, 10*time.Millisecond, stop)
	}()
	begin := time.Now()
	recoveries := make([]time.Duration, kills)
	for i := range kills {
		<-time.After(random.upTo(1000 * time.Millisecond))
		from.killed()
		s.kill(t)
		if i%4 == 3 { // the restart is killed as well, wherever it has come to
			s.launch(t)
			<-time.After(random.upTo(200 * time.Millisecond))
			s.kill(t)
		}
		s.start(t)
		select {
		case recoveries[i] = <-from.recovered:
		case <-time.After(startDeadline):
			t.Fatalf("after kill %d nothing was acknowledged within %v", i+1, startDeadline)
		}
	}
	close(stop)
	<-finished
	took := time.Since(begin)

	arrived := waitForAll(t, from, inbox)
	report(t, from, inbox, arrived, recoveries, took)
	var apart []int
	for n, ids := range arrived {
		if len(ids) != 1 {
			apart = append(apart, n)
		}
	}
	if len(apart) != 0 {
		t.Errorf("%d events came under several webhook-ids, such as %d under %v", len(apart), apart[0], arrived[apart[0]])
	}
	deliveries := inbox.all()
	verify(t, signing, deliveries[0], deliveries[len(deliveries)/2], deliveries[len(deliveries)-1])
	if dead := s.events(t, map[string][]string{"status": {"dead"}}); len(dead) != 0 {
		t.Errorf("%d events are dead, want none", len(dead))
	}
	s.stop(t)
	wantSound(t, s)
}

// connectSender connects the account sender by the API and returns the address that it got.
func connectSender(t *testing.T, s *service, secret string) string {
	t.Helper()
	var made api.Connection
	s.want(t, http.StatusCreated, http.MethodPost, "/connections", object{
		"connector": connectorwebhook.Name, "account": "sender",
		"input": object{"scheme": connectorwebhook.StandardWebhooks, "secret": secret},
	}, &made)
	if made.Status != "active" {
		t.Fatalf("the connection is %+v, want it active", made)
	}
	waitUntil(t, arrivalDeadline, "the connection has an address", func() bool {
		s.want(t, http.StatusOK, http.MethodGet, "/connections/"+made.ID, nil, &made)
		return len(made.Addresses) == 1
	})
	if address := made.Addresses[0]; !strings.HasPrefix(address, s.base+"/webhooks/webhook/sub_") {
		t.Fatalf("the connection's address is %s", address)
	}
	return made.Addresses[0]
}

// waitForAll waits until all that was acknowledged has arrived, and returns for each event of the
// sender the webhook-ids under which it came.
func waitForAll(t *testing.T, from *sender, inbox *receiver) map[int]map[string]int {
	t.Helper()
	arrived, read := make(map[int]map[string]int), 0
	missing := func() (list []int) {
		all := inbox.all()
		for _, d := range all[read:] {
			n := number(t, d)
			if arrived[n] == nil {
				arrived[n] = make(map[string]int)
			}
			arrived[n][d.id]++
		}
		read = len(all)
		for n := range from.acknowledged {
			if arrived[n] == nil {
				list = append(list, n)
			}
		}
		return list
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		list := missing()
		if len(list) == 0 {
			return arrived
		}
		select {
		case <-tick.C:
		case <-late:
			t.Errorf("LOST: %d of %d acknowledged events have not arrived: %v …", len(list), len(from.acknowledged), list[:min(20, len(list))])
			return arrived
		}
	}
}

func report(t *testing.T, from *sender, inbox *receiver, arrived map[int]map[string]int, recoveries []time.Duration, took time.Duration) {
	t.Helper()
	sent, tries, acknowledged := from.count()
	lost := 0
	for n := range from.acknowledged {
		if arrived[n] == nil {
			lost++
		}
	}
	var slowest, sum time.Duration
	for _, r := range recoveries {
		slowest, sum = max(slowest, r), sum+r
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kills\tsent\trequests\tacknowledged\tarrived\tlost\tdeliveries\tduplicates\tslowest recovery\tmean\ttook\t")
	fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%v\t%v\t\n", len(recoveries), sent, tries, acknowledged, len(arrived), lost,
		len(inbox.all()), len(inbox.all())-len(arrived), slowest.Round(time.Millisecond),
		(sum / time.Duration(len(recoveries))).Round(time.Millisecond), took.Round(time.Millisecond))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("recovery: from the kill to the first acknowledgement of what was sent after it\n%s", table.String())
}

// wantSound asks the stopped service's database what contradicts itself or nothing will ever pick up.
func wantSound(t *testing.T, s *service) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: s.database()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// random is a source of choices that several goroutines share.
type random struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newRandom(t *testing.T) *random {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("SEED: %v", err)
		}
		seed = given
	}
	t.Logf("SEED=%d", seed)
	return &random{rng: rand.New(rand.NewPCG(seed, seed))}
}

func (r *random) upTo(d time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.rng.Int64N(int64(d)))
}
