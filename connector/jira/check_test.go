package jira_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// page runs one Expand; with lose its outcome is not committed, as when the
// process is killed.
func (r *rig) page(s *connector.Subscription, lose bool) (*connector.Expansion, error) {
	r.mu.Lock()
	sub := *s
	r.mu.Unlock()
	out, err := r.c.Expand(r.t.Context(), r.session, &sub, nil)
	if err != nil || lose {
		return out, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range out.Notices {
		r.notice(n, []*connector.Subscription{s})
	}
	if out.Cursor != "" {
		s.Cursor = out.Cursor
	}
	return out, nil
}

func (r *rig) expand(s *connector.Subscription) {
	r.t.Helper()
	for range 1000 {
		out, err := r.page(s, false)
		if err != nil {
			r.t.Fatal(err)
		}
		if !out.More {
			return
		}
	}
	r.t.Fatal("Expand does not come to an end")
}

// catchUp runs every search to its end.
func (r *rig) catchUp() {
	r.t.Helper()
	for _, s := range r.subs {
		r.expand(s)
	}
}

func (r *rig) settle() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	if err := r.server.Settled(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// of lists what was told for a trigger.
func (r *rig) of(trigger string) (all []connector.Occurrence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.told {
		if o.Trigger == trigger {
			all = append(all, o)
		}
	}
	return all
}

// want compares how often each trigger was told; triggers that are not named must not have been.
func (r *rig) want(counts map[string]int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := map[string]int{}
	for _, o := range r.told {
		got[o.Trigger]++
	}
	for name, n := range counts {
		if got[name] != n {
			r.t.Errorf("%s was told %d times, want %d", name, got[name], n)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		r.t.Errorf("also told: %v", got)
	}
	if len(r.refused) > 0 {
		r.t.Errorf("refused: %v", r.refused)
	}
}

// crash lets the next n webhooks be lost between Decode and the commit, as when
// the process is killed: Jira gets no 2xx.
func (r *rig) crash(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crashes = n
}

// again renews a watch, and makes it anew when Jira has lost it; what fails for
// now is tried again.
func (r *rig) again(s *connector.Subscription) {
	r.t.Helper()
	for range 20 {
		r.mu.Lock()
		sub := *s
		r.mu.Unlock()
		held, err := r.c.Renew(r.t.Context(), r.session, &sub)
		anew := errors.Is(err, connector.ErrGone)
		if anew {
			r.lost++
			sub.Held = connector.Held{}
			held, err = r.c.Subscribe(r.t.Context(), r.session, &sub)
		}
		if err != nil {
			continue
		}
		r.mu.Lock()
		s.Held = *held
		r.mu.Unlock()
		return
	}
	r.t.Fatalf("%s cannot be renewed", s.ID)
}

// judge compares what was told with what the oracle expects.
func (r *rig) judge(truth oracle, want func(fact) bool) {
	r.t.Helper()
	late := 0
	must, may := truth.expect(r.t, func(d jiratest.Delivery) bool {
		if !strings.HasPrefix(d.URL, r.hooks.URL) {
			return false
		}
		if d.Webhooks == nil || r.routed[deliveryOf(d.Body, d.Identifier)] {
			return true
		}
		for _, s := range r.subs {
			for _, id := range d.Webhooks {
				if slices.Contains(s.Held.Keys, connector.NewKey("webhook", strings.TrimPrefix(d.Site.URL(), "https://"), strconv.Itoa(id))) {
					return true
				}
			}
		}
		late++ // of a webhook that Jira has lost since; that is told as a gap
		return false
	}, want)
	if late > 0 && r.lost == 0 {
		r.t.Errorf("%d deliveries of webhooks that nobody holds", late)
	}
	if late > 0 && want(fact{trigger: jira.IssueDeleted}) && len(r.gaps) == 0 {
		r.t.Errorf("%d deliveries of webhooks that Jira had lost, and no gap was told", late)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	told := map[[2]string]int{}
	for _, o := range r.told {
		told[[2]string{o.Trigger, said(r.t, o.Payload, o.Trigger, o.Key)}]++
	}
	var missing, invented, double []string
	for id := range must {
		if told[id] == 0 {
			missing = append(missing, id[0]+" "+id[1])
		}
	}
	for id, n := range told {
		if !must[id] && !may[id] {
			invented = append(invented, id[0]+" "+id[1])
		}
		if n > 1 {
			double = append(double, id[0]+" "+id[1])
		}
	}
	if len(missing)+len(invented)+len(double) > 0 {
		r.t.Errorf("of %d events %d are missing, %d did not happen, %d were told under two keys:\n%.2000s\n%.2000s\n%.2000s",
			len(must), len(missing), len(invented), len(double), strings.Join(missing, "\n"), strings.Join(invented, "\n"), strings.Join(double, "\n"))
	}
	if len(must) < 20 {
		r.t.Errorf("only %d events", len(must))
	}
	for _, err := range r.refused {
		r.t.Errorf("refused: %v", err)
	}
	r.t.Logf("%d events must and %d may be told; %d were told again; %d late; %d watches made anew, %d gaps", len(must), len(may), r.twice, late, r.lost, len(r.gaps))
}
