package subscription_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// Flags of TestDays, for where there is more time: 20,000 watches over 60 days take
// a minute or two.
var (
	watchCount = flag.Int("watches", 1_000, "how many watches TestDays keeps")
	watchDays  = flag.Int("days", 20, "for how many simulated days")
)

// farm plays a provider with many accounts, whose watches end unless they are
// renewed, and which fails now and then.
type farm struct {
	*provider // Describe, and what is not asked for here

	mu      sync.Mutex
	watches map[string]*farmed // by address
	calls   []time.Time
	random  uint64
	lapsed  int // renewed, or looked at, after their end
	doubled int
	failed  int
}

type farmed struct {
	remote string
	life   time.Duration
	ends   time.Time
}

// Kinds of accounts, by number.
const (
	refusedEvery = 1000 // the provider refuses one of so many
	deadEvery    = 1000 // the grant of one of so many is dead; another one
)

func accountNumber(connection string) int {
	n, _ := strconv.Atoi(connection[len("conn_"):])
	return n
}

// chance is true once in n calls, in no order. f.mu is held.
func (f *farm) chance(n uint64) bool {
	f.random = f.random*6364136223846793005 + 1442695040888963407
	return (f.random>>33)%n == 0
}

func (f *farm) Subscribe(_ context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.calls = append(f.calls, now)
	number := accountNumber(s.Values["connection"])
	switch {
	case number%refusedEvery == 1:
		return nil, fmt.Errorf("%w: this mailbox has no such thing", connector.ErrRefused)
	case number%deadEvery == 2:
		return nil, connector.ErrRevoked
	case f.chance(40): // before anything has happened
		f.failed++
		return nil, &connector.RetryError{After: 30 * time.Second, Err: errors.New("slow down")}
	}
	w := f.watches[sub.Address]
	switch {
	case w == nil:
		w = &farmed{remote: "r-" + sub.Resource + "-" + strconv.Itoa(len(f.calls)), life: 30 * 24 * time.Hour}
		if number%10 == 0 {
			w.life = 7 * 24 * time.Hour
		}
		f.watches[sub.Address] = w
	case sub.Held.ID == "" || sub.Held.ID != w.remote:
		f.doubled++
	case now.After(w.ends):
		f.lapsed++
	}
	w.ends = now.Add(w.life)
	if f.chance(40) { // the answer is lost
		f.failed++
		return nil, errors.New("the connection broke")
	}
	return &connector.Held{ID: w.remote, ExpiresAt: w.ends}, nil
}

func (f *farm) List(_ context.Context, _ *connector.Session, sub *connector.Subscription) ([]connector.Held, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.watches[sub.Address]
	if w == nil {
		return nil, nil
	}
	return []connector.Held{{ID: w.remote, Address: sub.Address, ExpiresAt: w.ends}}, nil
}

// crowd plays the room that keeps Connections, all alike.
type crowd struct {
	mu      sync.Mutex
	refused map[string]int
}

func (c *crowd) Connection(_ context.Context, id string) (subscription.Connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return subscription.Connection{
		ID: id, Environment: "env_a", Account: id, Connector: "acme", Usable: c.refused[id] == 0, Identities: []connector.Identity{{ID: id}},
	}, nil
}

func (c *crowd) Session(_ context.Context, id string) (*connector.Session, error) {
	return &connector.Session{Now: time.Now, Values: map[string]string{"connection": id}}, nil
}

func (c *crowd) Closed(context.Context, string, bool) error { return nil }

func (c *crowd) Refused(_ context.Context, id string, _ error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[id]++
	return nil
}

// counted counts what the Reconciler asks of its store.
type counted struct {
	subscription.Store
	mu             sync.Mutex
	claims, empty  int
	claimed, saves int
}

func (c *counted) ClaimSubscriptions(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]subscription.Subscription, error) {
	subs, err := c.Store.ClaimSubscriptions(ctx, now, lease, limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claims++
	c.claimed += len(subs)
	if len(subs) == 0 {
		c.empty++
	}
	return subs, err
}

func (c *counted) SaveSubscription(ctx context.Context, s subscription.Subscription, o subscription.SaveOptions) (subscription.Subscription, error) {
	c.mu.Lock()
	c.saves++
	c.mu.Unlock()
	return c.Store.SaveSubscription(ctx, s, o)
}

// unsynced is the system's file system without the fsync of each commit: this test
// makes a hundred thousand of them and no power loss.
type unsynced struct{ vfs.VFS }

func (u unsynced) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(u.VFS, name, flags)
	if err == nil && flags&vfs.OPEN_WAL != 0 {
		f = unsyncedFile{f}
	}
	return f, flags, err
}

func (u unsynced) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return vfsutil.WrapOpen(u.VFS, name, flags)
}

type unsyncedFile struct{ vfs.File }

func (unsyncedFile) Sync(vfs.SyncFlag) error { return nil }

// Thousands of watches, all added at once, over weeks with a provider that
// fails one call in twenty: none ends, the provider is not stormed, what is dead is
// told once, and the work is that of what is due.
func TestDays(t *testing.T) {
	t.Parallel()
	n, days := *watchCount, *watchDays
	const rate = 20
	path := filepath.Join(t.TempDir(), "store.db")
	vfs.Register("unsynced", unsynced{vfs.Find("os")})
	synctest.Test(t, func(t *testing.T) {
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, VFS: "unsynced"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		f := &farm{provider: newProvider(), watches: make(map[string]*farmed), random: 7}
		registry, err := connector.NewRegistry(f)
		if err != nil {
			t.Fatal(err)
		}
		ring, err := seal.NewRing([]string{seal.NewKey()})
		if err != nil {
			t.Fatal(err)
		}
		people := &crowd{refused: make(map[string]int)}
		store := &counted{Store: db}
		r, err := subscription.New(subscription.Config{
			Store: store, Registry: registry, Connections: people, Keeper: ring, PublicURL: "https://hooks.example.com",
			Wanted: func(context.Context, string) ([]trigger.Filter, error) { return boxes("one"), nil },
			Rate:   func(string) float64 { return rate }, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for i := range n {
			if err := db.MarkDirty(t.Context(), fmt.Sprintf("conn_%06d", i), began); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		<-time.After(time.Duration(days) * 24 * time.Hour)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}

		var healthy, refused, waiting, other int
		for s, err := range r.Subscriptions(t.Context(), subscription.Query{Environment: "*"}) {
			switch {
			case err != nil:
				t.Fatal(err)
			case s.Healthy() && f.watches["https://hooks.example.com/webhooks/acme/"+s.ID].ends.After(time.Now()):
				healthy++
			case s.State == subscription.Refused:
				refused++
			case s.State == subscription.Pending && s.Due.IsZero():
				waiting++ // for its Connection
			default:
				if other++; other < 5 {
					t.Errorf("%+v", s)
				}
			}
		}
		special := n / refusedEvery
		if healthy != n-2*special || refused != special || waiting != special || other != 0 {
			t.Errorf("of %d watches %d are held, %d refused, %d wait for their connection", n, healthy, refused, waiting)
		}
		if f.lapsed+f.doubled != 0 {
			t.Errorf("%d were renewed too late, %d made twice", f.lapsed, f.doubled)
		}
		told := make(map[string]int)
		for {
			news, err := db.WaitingNews(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			if len(news) == 0 {
				break
			}
			var ids []string
			for _, ev := range news {
				ids = append(ids, ev.ID)
				if ev.Trigger == subscription.Failed {
					told[ev.Connection]++
				}
			}
			if err := db.ForgetNews(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
		}
		for connection, times := range people.refused {
			if times != 1 || told[connection] != 0 {
				t.Errorf("that the grant of %s is dead was told %d times", connection, times)
			}
		}
		for connection, times := range told {
			if times != 1 || accountNumber(connection)%refusedEvery != 1 {
				t.Errorf("the failure of %s was told %d times", connection, times)
			}
		}
		if len(told) != special || len(people.refused) != special {
			t.Errorf("told of %d failures and %d dead grants, want %d each", len(told), len(people.refused), special)
		}
		most := 0
		for i, from := 0, 0; i < len(f.calls); i++ {
			for f.calls[i].Sub(f.calls[from]) >= time.Second {
				from++
			}
			most = max(most, i-from+1)
		}
		if most > 2*rate+1 { // a full bucket, and what comes into it meanwhile
			t.Errorf("there were %d calls in a second, want %d at most", most, 2*rate)
		}
		t.Logf("%d watches, %d days: %d calls to the provider, of which %d failed; at most %d in a second", n, days, len(f.calls), f.failed, most)
		t.Logf("the store was asked %d times what is due (%d times in vain), gave out %d and took %d", store.claims, store.empty, store.claimed, store.saves)
		if limit := 3 * len(f.calls); store.claimed > limit || store.claims-store.empty > limit {
			t.Errorf("%d watches were looked at for %d calls", store.claimed, len(f.calls))
		}
	})
}
