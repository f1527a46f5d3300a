package connectortest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// checkParams asks about Filters as the engine does before it makes a watch.
func (r *run) checkParams(ctx context.Context, p *Provider) (failures []string) {
	s := p.Session(r.tb)
	sub := p.Subscription
	if ids := s.Identities; len(ids) > 0 && sub.Identity.ID == "" {
		sub.Identity = ids[0]
	}
	ask := func(f trigger.Filter) error {
		one := sub
		one.Filters = []trigger.Filter{f}
		return r.entry.ParamChecker.CheckParams(ctx, s, &one, f)
	}
	before := r.watches(p)
	for _, d := range r.entry.Triggers {
		if d.Watch != sub.Watch || d.Undeliverable != "" {
			continue
		}
		if err := ask(trigger.Filter{Trigger: d.Name}); err != nil {
			failures = append(failures, fmt.Sprintf("%s without params: %v", d.Name, err))
		}
	}
	for _, f := range p.Misspelt {
		err := ask(f)
		if !errors.Is(err, connector.ErrRefused) && !errors.Is(err, connector.ErrGone) {
			failures = append(failures, fmt.Sprintf("%s with %v gave %v, which is no rejection", f.Trigger, f.Params, err))
			continue
		}
		wrong, ok := errors.AsType[*connector.ParamError](err)
		if !ok {
			continue
		}
		declared := slices.ContainsFunc(r.entry.Triggers, func(d trigger.Definition) bool {
			return f.Covers(d.Name) && slices.ContainsFunc(d.Params, func(param trigger.Param) bool { return param.Name == wrong.Param })
		})
		if !declared || wrong.Problem == "" || wrong.Value != f.Params[wrong.Param] {
			failures = append(failures, fmt.Sprintf("%s with %v gave %+v", f.Trigger, f.Params, *wrong))
		}
	}
	if after := r.watches(p); after != before {
		failures = append(failures, fmt.Sprintf("the provider held %d watches before, %d after", before, after))
	}
	return failures
}

func (*run) watches(p *Provider) int {
	if p.Watches == nil {
		return 0
	}
	return p.Watches()
}
