package jira

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
)

const (
	hookPath = "rest/api/3/webhook"
	hookLife = 30 * 24 * time.Hour // of a dynamic webhook, from when it was made or prolonged
	maxHooks = 5                   // that Jira keeps for an App, person and site
	maxPages = 50                  // of a list
)

// dynamicHook is a dynamic webhook as Jira lists it.
type dynamicHook struct {
	ID         ident       `json:"id"`
	URL        text        `json:"url"`
	JQL        text        `json:"jqlFilter"`
	Events     array[text] `json:"events"`
	Properties array[text] `json:"issuePropertyKeysFilter"`
	Expires    moment      `json:"expirationDate"`
}

// mark recognises the webhooks of one Subscription. All of an App have one
// address, and one person can have several Connections, so the address does not.
// It is a filter for events about issue properties, of which there are none.
func mark(subscription string) string { return "interactor." + subscription }

func (h dynamicHook) of(subscription string) bool {
	return slices.Contains(h.Properties, text(mark(subscription)))
}

// says reports whether the webhook is the wanted one.
func (h dynamicHook) says(w wish) bool {
	events := make([]string, 0, len(h.Events))
	for _, e := range h.Events {
		events = append(events, string(e))
	}
	slices.Sort(events)
	return string(h.JQL) == w.jql && slices.Equal(events, w.topics) && string(h.URL) == w.address
}

// subscribeDynamic registers a dynamic webhook, unless Jira has it already: an
// earlier call may have been carried out without an answer reaching us.
func subscribeDynamic(ctx context.Context, svc *service, host site, sub *connector.Subscription, w wish) (*connector.Held, error) {
	all, err := listDynamic(ctx, svc)
	if err != nil {
		return nil, err
	}
	var kept *dynamicHook
	var leftover []ident // of this Subscription, and neither wanted nor what the engine knows and removes
	for i, h := range all {
		switch {
		case !h.of(sub.ID):
		case kept == nil && h.says(w):
			kept = &all[i]
		case string(h.ID) != sub.Held.ID:
			leftover = append(leftover, h.ID)
		}
	}
	if len(leftover) > 0 {
		if err := deleteDynamic(ctx, svc, leftover...); err != nil {
			return nil, err
		}
	}
	if kept != nil {
		return prolong(ctx, svc, host, sub, string(kept.ID))
	}
	if former := sub.Held.ID; former != "" && former != heldNothing && len(all)-len(leftover) >= maxHooks {
		// There is no room for both. What comes meanwhile is searched for afterwards,
		// and what no search finds is told as a gap: the watch begins anew.
		if err := deleteDynamic(ctx, svc, ident(former)); err != nil {
			return nil, err
		}
		sub.Held.Values = map[string]string{valueSince: stamp(svc.now())}
	}
	id, err := register(ctx, svc, sub, w)
	if err != nil {
		return nil, err
	}
	return heldDynamic(host, sub, id, svc.now().Add(hookLife)), nil
}

// register makes one dynamic webhook. What is wrong with it, Jira says within an
// answer 200.
func register(ctx context.Context, svc *service, sub *connector.Subscription, w wish) (string, error) {
	in := map[string]any{"url": w.address, "webhooks": []any{map[string]any{
		"jqlFilter": w.jql, "events": w.topics, "issuePropertyKeysFilter": []string{mark(sub.ID)},
	}}}
	var out struct {
		Results []struct {
			ID     ident       `json:"createdWebhookId"`
			Errors array[text] `json:"errors"`
		} `json:"webhookRegistrationResult"`
	}
	err := svc.call(ctx, http.MethodPost, hookPath, in, &out)
	switch {
	case errors.Is(err, connector.ErrGone):
		// Not "the watch is gone, make it again": that is what just failed.
		return "", fmt.Errorf("jira: %w: the site does not answer: is it suspended, or no Jira site any more", connector.ErrRefused)
	case err != nil:
		return "", err
	case len(out.Results) == 0:
		return "", fmt.Errorf("jira: POST %s: the answer has no result", hookPath)
	}
	r := out.Results[0]
	if r.ID == "" || len(r.Errors) > 0 {
		var said []string
		for _, e := range r.Errors {
			said = append(said, string(e))
		}
		return "", fmt.Errorf("jira: %w: Jira does not register the webhook with the filter %q: %s. It keeps %d for an App, person and site: "+
			"each different jql takes one", connector.ErrRefused, excerpt(w.jql), excerpt(strings.Join(said, "; ")), maxHooks)
	}
	return string(r.ID), nil
}

// maxFormer bounds how many webhooks that were replaced still route to us.
const maxFormer = 4

// heldDynamic also keeps the keys of webhooks that this one replaces: what they
// told of before can come for half an hour after.
func heldDynamic(host site, sub *connector.Subscription, id string, expires time.Time) *connector.Held {
	keys := []connector.Key{webhookKey(string(host), id)}
	for _, k := range sub.Held.Keys {
		if len(keys) <= maxFormer && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return &connector.Held{ID: id, ExpiresAt: expires.UTC(), Cursor: sub.Held.Cursor, Values: sub.Held.Values, Keys: keys}
}

// prolong keeps a dynamic webhook for 30 days more. Jira ignores ids that it
// does not know, so the list says whether it is still there.
func prolong(ctx context.Context, svc *service, host site, sub *connector.Subscription, id string) (*connector.Held, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("jira: the id of the webhook is %q, no number: %w", id, connector.ErrGone)
	}
	var out struct {
		Expires moment `json:"expirationDate"`
	}
	if err := svc.call(ctx, http.MethodPut, hookPath+"/refresh", map[string]any{"webhookIds": []int64{number}}, &out); err != nil {
		return nil, err
	}
	all, err := listDynamic(ctx, svc)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(h dynamicHook) bool { return string(h.ID) == id })
	if i < 0 {
		return nil, fmt.Errorf("jira: webhook %s: %w", id, connector.ErrGone)
	}
	expires := all[i].Expires.Time
	if expires.IsZero() {
		expires = out.Expires.Time
	}
	if expires.IsZero() {
		expires = svc.now().Add(hookLife)
	}
	return heldDynamic(host, sub, id, expires), nil
}

// listDynamic lists the webhooks of the App and person at a site.
func listDynamic(ctx context.Context, svc *service) (all []dynamicHook, err error) {
	for range maxPages {
		var page struct {
			Values []dynamicHook `json:"values"`
			IsLast *bool         `json:"isLast"`
			Total  int           `json:"total"`
		}
		if err := svc.call(ctx, http.MethodGet, fmt.Sprintf("%s?startAt=%d&maxResults=100", hookPath, len(all)), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Values...)
		if len(page.Values) == 0 || page.IsLast != nil && *page.IsLast || page.IsLast == nil && len(all) >= page.Total {
			return all, nil
		}
	}
	return nil, fmt.Errorf("jira: %w: there are more than %d webhooks", connector.ErrRefused, len(all))
}

// deleteDynamic removes dynamic webhooks. Jira ignores ids that it does not know.
func deleteDynamic(ctx context.Context, svc *service, ids ...ident) error {
	numbers := make([]json.Number, 0, len(ids))
	for _, id := range ids {
		numbers = append(numbers, json.Number(id))
	}
	err := svc.call(ctx, http.MethodDelete, hookPath, map[string]any{"webhookIds": numbers}, nil)
	if errors.Is(err, connector.ErrGone) {
		return nil
	}
	return err
}
