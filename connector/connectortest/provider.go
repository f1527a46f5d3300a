package connectortest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

// described are the Templates of the Description, by place; those that are
// addresses are marked.
func (r *run) described() (all map[string]connector.Template, addresses map[string]connector.Template) {
	all, addresses = make(map[string]connector.Template), make(map[string]connector.Template)
	for name, t := range r.entry.Endpoints {
		addresses[fmt.Sprintf("Endpoints[%q]", name)] = t
	}
	if o := r.entry.OAuth; o != nil {
		addresses["OAuth.Authorize"] = o.Authorize
		addresses["OAuth.Token.URL"] = o.Token.URL
		if o.Refresh != nil {
			addresses["OAuth.Refresh.URL"] = o.Refresh.URL
		}
		if o.Revoke != nil {
			addresses["OAuth.Revoke.URL"] = o.Revoke.URL
		}
		for name, t := range o.Params {
			all[fmt.Sprintf("OAuth.Params[%q]", name)] = t
		}
	}
	for name, t := range r.entry.Use.Header {
		all[fmt.Sprintf("Use.Header[%q]", name)] = t
	}
	all["Use.User"], all["Use.Pass"], all["Use.Path"] = r.entry.Use.User, r.entry.Use.Pass, r.entry.Use.Path
	for _, w := range r.entry.Watches {
		all["Resource of "+w.Name] = w.Resource
	}
	maps.Copy(all, addresses)
	return all, addresses
}

// addresses: literal ones are https, but for this machine's own.
func (r *run) addresses() (failures []string) {
	_, addresses := r.described()
	for at, t := range addresses {
		for alternative := range strings.SplitSeq(string(t), "|") {
			rest, plain := strings.CutPrefix(alternative, "http://")
			if !plain {
				continue
			}
			u, err := url.Parse("http://" + rest)
			if err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()) {
				continue
			}
			failures = append(failures, fmt.Sprintf("%s is %q", at, alternative))
		}
	}
	return failures
}

func (r *run) templates() (failures []string) {
	all, _ := r.described()
	for at, t := range all {
		for alternative := range strings.SplitSeq(string(t), "|") {
			if one := connector.Template(alternative); len(one.Names()) > 0 {
				if filled, err := one.Fill(); err == nil {
					failures = append(failures, fmt.Sprintf("%s: %q became %q", at, alternative, filled))
				}
			}
		}
	}
	return failures
}

// provider runs the rules about what goes through a Session.
func (r *run) provider() {
	r.tb.Helper()
	p := r.suite.Provider
	if p == nil {
		return
	}
	if p.Session == nil {
		r.tb.Errorf("connectortest: Provider.Session is missing")
		return
	}
	ctx := context.Background()
	if r.entry.Identifier != nil {
		r.identify(ctx, p)
	}
	if r.entry.Subscriber != nil && p.Subscription.Watch != "" {
		if p.Watches == nil {
			r.tb.Errorf("connectortest: Provider.Watches is missing: it counts what the stand-in holds")
			return
		}
		r.rule("", ruleSubscribe, func() []string { return r.subscribe(ctx, p) })
	}
	if r.entry.ParamChecker != nil && p.Subscription.Watch != "" {
		r.rule("", ruleParams, func() []string { return r.checkParams(ctx, p) })
	}
	if r.entry.Expander != nil && p.Subscription.Watch != "" {
		r.rule("", ruleExpandStart, func() []string { return r.expandStart(ctx, p) })
	}
}

func (r *run) identify(ctx context.Context, p *Provider) {
	r.tb.Helper()
	var ids []connector.Identity
	r.rule("", ruleIdentify, func() []string {
		s := p.Session(r.tb)
		var err error
		if ids, err = r.entry.Identifier.Identify(ctx, s); err != nil || len(ids) == 0 {
			return []string{fmt.Sprintf("Identify gave %v, %v", ids, err)}
		}
		again, err := r.entry.Identifier.Identify(ctx, s)
		if err != nil || !reflect.DeepEqual(ids, again) {
			return []string{fmt.Sprintf("Identify gave %+v, then %+v, %v", ids, again, err)}
		}
		for _, id := range ids {
			if id.ID == "" {
				return []string{"an Identity has no ID"}
			}
		}
		return nil
	})
	r.rule("", ruleIdentities, func() []string {
		all := slices.Clone(ids)
		if p.Stranger != nil {
			theirs, err := r.entry.Identifier.Identify(ctx, p.Stranger(r.tb))
			if err != nil {
				return []string{fmt.Sprintf("Identify of the stranger: %v", err)}
			}
			all = append(all, theirs...)
		}
		return distinctIdentities(all)
	})
}

func distinctIdentities(all []connector.Identity) []string {
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.ID == b.ID {
				return []string{fmt.Sprintf("two have the ID %q", a.ID)}
			}
			for _, k := range a.Keys {
				if slices.Contains(b.Keys, k) {
					return []string{fmt.Sprintf("%q and %q share the Key %s", a.ID, b.ID, k)}
				}
			}
		}
	}
	return nil
}

// subscribe plays the life of a watch as the engine does.
func (r *run) subscribe(ctx context.Context, p *Provider) []string {
	s := p.Session(r.tb)
	sub := p.Subscription
	if ids := s.Identities; len(ids) > 0 && sub.Identity.ID == "" {
		sub.Identity = ids[0]
	}
	held, err := r.entry.Subscriber.Subscribe(ctx, s, &sub)
	if err != nil || held == nil || held.ID == "" || p.Watches() != 1 {
		return []string{fmt.Sprintf("Subscribe gave %+v, %v; the provider holds %d", held, err, p.Watches())}
	}
	sub.Held = *held
	if r.entry.Lister != nil {
		r.rule("", ruleList, func() []string { return r.list(ctx, s, &sub) })
	}
	r.rule("", ruleResubscribe, func() []string {
		again, err := r.entry.Subscriber.Subscribe(ctx, s, &sub)
		if err != nil || again == nil || again.ID == "" {
			return []string{fmt.Sprintf("Subscribe gave %+v, %v", again, err)}
		}
		if again.ID != held.ID { // as the engine does after an overlap
			former := sub
			if err := r.entry.Subscriber.Unsubscribe(ctx, s, &former); err != nil {
				return []string{fmt.Sprintf("Unsubscribe of the former one: %v", err)}
			}
		}
		sub.Held = *again
		if n := p.Watches(); n != 1 {
			return []string{fmt.Sprintf("the provider holds %d", n)}
		}
		return nil
	})
	r.rule("", ruleUnsubscribe, func() []string {
		for _, when := range []string{"the first time", "when it is gone"} {
			if err := r.entry.Subscriber.Unsubscribe(ctx, s, &sub); err != nil || p.Watches() != 0 {
				return []string{fmt.Sprintf("%s: %v; the provider holds %d", when, err, p.Watches())}
			}
		}
		return nil
	})
	return nil
}

func (r *run) list(ctx context.Context, s *connector.Session, sub *connector.Subscription) []string {
	all, err := r.entry.Lister.List(ctx, s, sub)
	if err != nil {
		return []string{fmt.Sprintf("List: %v", err)}
	}
	for _, h := range all {
		if h.ID == sub.Held.ID && h.Address == sub.Address {
			return nil
		}
	}
	return []string{fmt.Sprintf("List gave %+v; want the ID %q at %q", all, sub.Held.ID, sub.Address)}
}

func (r *run) expandStart(ctx context.Context, p *Provider) []string {
	s := p.Session(r.tb)
	sub := p.Subscription
	sub.Cursor = ""
	if ids := s.Identities; len(ids) > 0 && sub.Identity.ID == "" {
		sub.Identity = ids[0]
	}
	for range 1000 { // pages
		x, err := r.entry.Expander.Expand(ctx, s, &sub, nil)
		if err != nil || x == nil {
			return []string{fmt.Sprintf("Expand gave %v, %v", x, err)}
		}
		for _, n := range x.Notices {
			if len(n.Occurrences) > 0 || n.Thin != nil {
				return []string{fmt.Sprintf("Expand reported %d occurrences", len(n.Occurrences))}
			}
		}
		if x.Cursor != "" {
			sub.Cursor = x.Cursor
		}
		if !x.More {
			if sub.Cursor == "" {
				return []string{"Expand set no Cursor: each time would be the first"}
			}
			return nil
		}
	}
	return []string{"Expand has More after 1000 pages"}
}
