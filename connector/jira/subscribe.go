package jira

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// heldNothing is the id where nothing has to be held: the triggers are narrowed
// to other sites.
const heldNothing = "none"

// valueSince in Held.Values is since when the site has been watched without a break.
const valueSince = "since"

// wish is what a webhook has to be.
type wish struct {
	address, jql string
	topics       []string // sorted
}

// wants is what a Subscription asks of its site; without topics it is nothing.
func (c *Connector) wants(sub *connector.Subscription, host site) wish {
	var wanted []trigger.Filter
	w := wish{address: sub.Address}
	for _, d := range c.definitions() {
		for _, f := range sub.Filters {
			if d.Watch == sub.Watch && f.Covers(d.Name) && isOf(f, host) {
				wanted = append(wanted, f)
				w.topics = append(w.topics, d.Topics...)
			}
		}
	}
	if len(sub.Filters) == 0 {
		w.topics = slices.Clone(sub.Topics)
	}
	slices.Sort(w.topics)
	w.topics = slices.Compact(w.topics)
	w.jql = issueFilter(sub, wanted)
	return w
}

// isOf reports whether a line of the trigger list is about a site.
func isOf(f trigger.Filter, host site) bool {
	only := f.Params[paramSite]
	return only == "" || foldHost(only) == string(host)
}

func isAdmin(watch string) bool { return watch == watchAdminIssues || watch == watchAdminSite }

// Subscribe makes Jira tell of what the triggers of a watch are about: one
// webhook for all of them, whose filter is the union of theirs.
func (c *Connector) Subscribe(ctx context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	host, svc, err := c.at(s, sub)
	if err != nil {
		return nil, err
	}
	// From here on a search finds what the webhook did not tell, because it was
	// not there yet or because what it told was not known to be ours.
	begin := svc.now()
	with := *sub
	if with.Held.Values[valueSince] == "" {
		with.Held.Values = map[string]string{valueSince: stamp(begin)}
	}
	with.Held.Cursor = start(begin).String()
	w := c.wants(sub, host)
	switch {
	case sub.Watch == watchPoll:
		return &connector.Held{ID: heldNothing, Cursor: with.Held.Cursor}, nil
	case len(w.topics) == 0:
		return &connector.Held{ID: heldNothing, Cursor: with.Held.Cursor, Values: with.Held.Values}, nil
	case isAdmin(sub.Watch):
		return subscribeAdmin(ctx, svc, host, &with, w)
	}
	if err := checkFilter(w.jql); err != nil {
		return nil, fmt.Errorf("jira: %w: the jql %q cannot filter a webhook: %w", connector.ErrRefused, excerpt(w.jql), err)
	}
	return subscribeDynamic(ctx, svc, host, &with, w)
}

// Renew prolongs a webhook, or finds out that an administrator has removed it.
func (c *Connector) Renew(ctx context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	host, svc, err := c.at(s, sub)
	switch {
	case err != nil:
		return nil, err
	case sub.Held.ID == heldNothing || sub.Watch == watchPoll:
		held := sub.Held
		return &held, nil
	case isAdmin(sub.Watch):
		return renewAdmin(ctx, svc, sub)
	}
	return prolong(ctx, svc, host, sub, sub.Held.ID)
}

// Unsubscribe removes the webhook. Jira says nothing of what is gone already.
func (c *Connector) Unsubscribe(ctx context.Context, s *connector.Session, sub *connector.Subscription) error {
	if sub.Held.ID == "" || sub.Held.ID == heldNothing || sub.Watch == watchPoll {
		return nil
	}
	_, svc, err := c.at(s, sub)
	if err != nil {
		return err
	}
	if isAdmin(sub.Watch) {
		return deleteAdmin(ctx, svc, sub.Held.ID)
	}
	return deleteDynamic(ctx, svc, ident(sub.Held.ID))
}

// List returns the webhooks of the Subscription, and no others: all dynamic
// webhooks of an App have one address, by which the engine would take another
// Connection's for a leftover of this one.
func (c *Connector) List(ctx context.Context, s *connector.Session, sub *connector.Subscription) ([]connector.Held, error) {
	host, svc, err := c.at(s, sub)
	if err != nil {
		return nil, err
	}
	if isAdmin(sub.Watch) {
		return listAdmin(ctx, svc)
	}
	all, err := listDynamic(ctx, svc)
	if err != nil {
		return nil, err
	}
	var held []connector.Held
	for _, h := range all {
		if h.of(sub.ID) {
			held = append(held, connector.Held{
				ID: string(h.ID), Address: string(h.URL), ExpiresAt: h.Expires.Time,
				Keys: []connector.Key{webhookKey(string(host), string(h.ID))}, Values: sub.Held.Values,
			})
		}
	}
	return held, nil
}

// at returns the site of a Subscription and a client of it.
func (c *Connector) at(s *connector.Session, sub *connector.Subscription) (site, *service, error) {
	if err := c.usable(); err != nil {
		return "", nil, err
	}
	host, cloud, err := siteOf(sub)
	if err != nil {
		return "", nil, err
	}
	svc, err := newService(s, cloud)
	return host, svc, err
}

// noAdmin explains a 403 to who administers nothing.
func noAdmin(err error) error {
	var status *connector.StatusError
	if errors.Is(err, connector.ErrScope) && errors.As(err, &status) && !strings.Contains(status.Body, "scope") {
		return fmt.Errorf("jira: %w: %s: %s", connector.ErrRefused, errNoAdmin, excerpt(status.Body))
	}
	return err
}
