package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/subscription"
	"github.com/interactorhq/interactor/trigger"
)

// choosy is a provider that knows which values of the param "tag" can work.
type choosy struct {
	*provider

	watch func(w *connector.Watch) // changes what is described

	mu    sync.Mutex
	wrong map[string]error // by value
	asked []string         // "identity trigger value"
	told  [][]string       // values that each Subscribe was given
}

func newChoosy() *choosy {
	c := &choosy{provider: newProvider(), wrong: make(map[string]error)}
	c.during = func(sub *connector.Subscription) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.told = append(c.told, tagsOf(sub))
	}
	return c
}

func tagsOf(sub *connector.Subscription) []string {
	tags := []string{}
	for _, f := range sub.Filters {
		tags = append(tags, f.Params["tag"])
	}
	return tags
}

func (c *choosy) Describe() connector.Description {
	d := c.provider.Describe()
	d.Watches[0].Resource = "boxes"
	if c.watch != nil {
		c.watch(&d.Watches[0])
	}
	for i := range d.Triggers {
		d.Triggers[i].Params = []trigger.Param{{Name: "tag", Label: "Tag"}}
	}
	return d
}

func (c *choosy) CheckParams(_ context.Context, _ *connector.Session, sub *connector.Subscription, f trigger.Filter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, strings.Join([]string{sub.Identity.ID, f.Trigger, f.Params["tag"]}, " "))
	return c.wrong[f.Params["tag"]]
}

func (c *choosy) set(tag string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong[tag] = err
}

func (c *choosy) lastTold() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.told) == 0 {
		return nil
	}
	return c.told[len(c.told)-1]
}

func (c *choosy) times() (asked, told int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked), len(c.told)
}

func tagged(tags ...string) (out []trigger.Filter) {
	for _, tag := range tags {
		out = append(out, trigger.Filter{Trigger: "acme.mail", Params: map[string]string{"tag": tag}})
	}
	return out
}

func unknownTag(tag string, later bool) error {
	return &connector.ParamError{Param: "tag", Value: tag, Problem: "there is no such tag: create it", Later: later}
}

// lastNews is the payload of the news that was told last.
func (r *room) lastNews() string {
	r.t.Helper()
	list, err := r.store.WaitingNews(r.t.Context(), 1000)
	if err != nil || len(list) == 0 {
		r.t.Fatal("nothing was told", err)
	}
	return string(list[len(list)-1].Payload)
}

func (r *room) one() subscription.Subscription {
	r.t.Helper()
	all := r.all()
	if len(all) != 1 {
		r.t.Fatalf("%d subscriptions: %+v", len(all), all)
	}
	return all[0]
}

// Params are asked about before the provider is told of a watch, and what cannot
// work neither gets there nor takes what can with it.
func TestParamsAreCheckedBeforeAWatchIsMade(t *testing.T) {
	t.Parallel()
	c := newChoosy()
	c.set("typo", fmt.Errorf("%w: the query does not parse", connector.ErrRefused))
	r := newRoomOf(t, c, c.provider)
	r.wanted = append(tagged("good", "typo"), trigger.Filter{Trigger: "acme.note"})
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a watch", r.settled(1))
	s := r.one()
	if len(s.Rejected) != 1 || s.Rejected[0].Filter.Params["tag"] != "typo" || s.Rejected[0].Later ||
		!strings.Contains(s.Rejected[0].Reason, "acme.mail: ") || !strings.Contains(s.Rejected[0].Reason, "does not parse") {
		t.Errorf("rejected: %+v", s.Rejected)
	}
	if s.Healthy() || len(s.Filters) != 3 || s.Due.Sub(r.now()) < 12*time.Hour { // it is not asked about again, but looked at
		t.Errorf("got %+v", s)
	}
	if got := c.lastTold(); !slices.Equal(got, []string{"good", ""}) {
		t.Errorf("the provider was told of %q", got)
	}
	if !slices.Equal(c.asked, []string{"someone acme.mail good", "someone acme.mail typo"}) {
		t.Errorf("asked %q: what has no params has nothing to ask about", c.asked)
	}
	described, err := r.Describe(t.Context(), s)
	if err != nil || !slices.Equal(tagsOf(described), []string{"good", ""}) {
		t.Errorf("an Expand would be given %+v, %v", described, err)
	}
	if ill := r.unhealthy(); len(ill) != 1 {
		t.Errorf("unhealthy are %+v", ill)
	}
	r.untilTold("created", "failed")
	if reason := r.lastNews(); !strings.Contains(reason, "does not parse") {
		t.Errorf("the reason told is %s", reason)
	}

	r.want(append(tagged("good", "right"), trigger.Filter{Trigger: "acme.note"}), "conn_1")
	r.until("all of it", func() bool { return r.one().Healthy() })
	if got := c.lastTold(); !slices.Equal(got, []string{"good", "right", ""}) {
		t.Errorf("then the provider was told of %q", got)
	}
	if ill := r.unhealthy(); len(ill) != 0 {
		t.Errorf("unhealthy are %+v", ill)
	}
	r.untilTold("created", "failed", "recovered")
}

func TestAWatchWithoutParamsThatWorkIsRefused(t *testing.T) {
	t.Parallel()
	c := newChoosy()
	c.set("typo", unknownTag("typo", false))
	r := newRoomOf(t, c, c.provider)
	r.wanted = tagged("typo")
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a refusal", func() bool { all := r.all(); return len(all) == 1 && all[0].State == subscription.Refused })
	s := r.one()
	if want := `acme.mail: param "tag" is "typo": there is no such tag: create it`; s.LastError != want || !s.Due.IsZero() || s.Healthy() {
		t.Errorf("got %+v, want the reason %q", s, want)
	}
	if len(c.held()) != 0 || c.lastTold() != nil {
		t.Errorf("the provider was told of %q", c.lastTold())
	}
	r.untilTold("failed")

	// The Connection gets a tag of its own.
	conn, _ := r.accounts.Connection(t.Context(), "conn_1")
	conn.Params = trigger.Overrides{"acme.mail": {"tag": "own"}}
	r.change("conn_1", conn)
	r.until("a watch", r.settled(1))
	if got := c.lastTold(); !slices.Equal(got, []string{"own"}) || !r.one().Healthy() {
		t.Errorf("the provider was told of %q: %+v", got, r.one())
	}
}

func TestWhatAParamNamesMayAppearLater(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		wanted []trigger.Filter
		first  subscription.State
		watch  func(*connector.Watch)
	}{
		{"alone", tagged("new"), subscription.Refused, nil},
		{"beside others", tagged("good", "new"), subscription.Active, nil},
		{"of a watch that is not told to the provider", tagged("good", "new"), subscription.Active, func(w *connector.Watch) {
			w.Intake, w.Secret, w.Poll = connector.FromPoll, connector.SecretNone, time.Minute
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := newChoosy()
			c.life, c.watch = 30*24*time.Hour, row.watch
			c.set("new", unknownTag("new", true))
			var p connector.Connector = c
			if row.watch != nil {
				p = polled{c}
			}
			r := newRoomOf(t, p, c.provider)
			r.wanted = row.wanted
			r.run()
			r.connect("conn_1", "env_a")
			r.until("the rejection", func() bool {
				all := r.all()
				return len(all) == 1 && all[0].State == row.first && len(all[0].Rejected) == 1
			})
			s := r.one()
			if in := s.Due.Sub(r.now()); in < 40*time.Minute || in > 80*time.Minute {
				t.Errorf("asked again in %v", in)
			}
			asked, told := c.times()
			r.forward(81 * time.Minute)
			r.until("another question", func() bool {
				now, _ := c.times()
				return now > asked && r.one().Due.After(r.now())
			})
			if _, now := c.times(); now != told {
				t.Error("the provider was told of the same again")
			}
			if news := r.told(); slices.Index(news, "failed") != len(news)-1 {
				t.Errorf("told %q: once is enough", news)
			}
			c.set("new", nil)
			r.forward(81 * time.Minute)
			r.until("all of it", func() bool { return r.one().Healthy() })
			if row.watch == nil {
				if got := c.lastTold(); !slices.Contains(got, "new") {
					t.Errorf("the provider was told of %q", got)
				}
			}
			if news := r.told(); news[len(news)-1] != "recovered" {
				t.Errorf("told %q", news)
			}
			s = r.one()
			if described, err := r.Describe(t.Context(), s); err != nil || !slices.Contains(tagsOf(described), "new") {
				t.Errorf("an Expand would be given %+v, %v", described, err)
			}
		})
	}
}

// polled is choosy with what polling needs.
type polled struct{ *choosy }

func (polled) Expand(context.Context, *connector.Session, *connector.Subscription, *connector.Notice) (*connector.Expansion, error) {
	return &connector.Expansion{}, nil
}

// A provider that cannot be asked is asked again; nothing is registered unasked.
// Of a watch that is there, an answer that does not come ends nothing.
func TestAProviderThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	c := newChoosy()
	c.life = 2 * time.Hour
	c.set("new", &connector.RetryError{Err: errors.New("no route to host")})
	r := newRoomOf(t, c, c.provider)
	r.wanted = tagged("good", "new")
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a failed try", func() bool { all := r.all(); return len(all) == 1 && all[0].LastError != "" })
	if s := r.one(); s.State != subscription.Pending || s.Due.IsZero() || c.lastTold() != nil || !strings.Contains(s.LastError, "no route") {
		t.Errorf("got %+v, told %q", s, c.lastTold())
	}
	c.set("new", fmt.Errorf("tag new: %w", connector.ErrGone))
	r.forward(time.Minute)
	r.until("a watch", r.settled(1))
	if s := r.one(); len(s.Rejected) != 1 || !s.Rejected[0].Later {
		t.Errorf("got %+v", s)
	}
	c.set("new", &connector.RetryError{Err: errors.New("no route to host")})
	_, told := c.times()
	r.forward(85 * time.Minute)
	r.until("a renewal", func() bool { _, now := c.times(); return now > told && r.one().RenewAt.After(r.now()) })
	if s := r.one(); s.State != subscription.Active || len(s.Rejected) != 1 || s.LastError != "" {
		t.Errorf("got %+v", s)
	}
	r.untilTold("created", "failed", "renewed")
}

func TestParamsOfAConnection(t *testing.T) {
	t.Parallel()
	r := newRoom(t, newProvider())
	r.wanted = boxes("one", "two")
	r.run()
	r.connect("conn_1", "env_a")
	r.connect("conn_2", "env_a")
	r.until("four watches", r.settled(4))
	conn, _ := r.accounts.Connection(t.Context(), "conn_2")
	conn.Params = trigger.Overrides{"acme.mail": {"box": "mine"}, "acme.note": {"box": "other"}}
	r.change("conn_2", conn)
	resources := func() (out []string) {
		for _, s := range r.all() {
			out = append(out, s.Connection+" "+s.Resource)
		}
		slices.Sort(out)
		return out
	}
	want := []string{"conn_1 boxes/one", "conn_1 boxes/two", "conn_2 boxes/mine"}
	r.until("its own", func() bool { return slices.Equal(resources(), want) && r.settled(3)() })
	conn.Params = nil
	r.change("conn_2", conn)
	r.until("those of the list", func() bool { return len(resources()) == 4 && r.settled(4)() })
}

// What cannot be delivered is not watched, whoever asks for it.
func TestUndeliverableIsNotWatched(t *testing.T) {
	t.Parallel()
	c := newChoosy()
	r := newRoomOf(t, silent{c}, c.provider)
	r.wanted = trigger.List("acme.*", "acme.note")
	r.run()
	r.connect("conn_1", "env_a")
	r.until("a watch", r.settled(1))
	if s := r.one(); !slices.Equal(s.Triggers, []string{"acme.mail"}) || !slices.Equal(s.Topics, []string{"mail"}) {
		t.Errorf("watched for %q, topics %q", s.Triggers, s.Topics)
	}
}

// silent cannot deliver notes.
type silent struct{ *choosy }

func (s silent) Describe() connector.Description {
	d := s.choosy.Describe()
	d.Triggers[1].Undeliverable = "notes need another plan: upgrade"
	return d
}
