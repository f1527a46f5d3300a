package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// recheckAfter is how long it takes until the provider is asked again for what a
// param names and is not there.
const recheckAfter = time.Hour

// judge asks the provider which Filters of s can work, before a watch is made of
// them. What it rejects is in s.Rejected afterwards, and no longer in p.sub; an error
// says that it could not be asked.
func (r *Reconciler) judge(ctx context.Context, p parts, s *Subscription) error {
	var rejected []Rejection
	for _, f := range s.Filters {
		if p.entry.ParamChecker == nil || len(f.Params) == 0 {
			continue
		}
		err := p.entry.ParamChecker.CheckParams(ctx, p.session, p.sub, f)
		var wrong *connector.ParamError
		switch {
		case err == nil:
		case errors.As(err, &wrong):
			rejected = append(rejected, Rejection{Filter: f, Reason: f.Trigger + ": " + wrong.Error(), Later: wrong.Later})
		case errors.Is(err, connector.ErrRefused), errors.Is(err, connector.ErrGone):
			rejected = append(rejected, Rejection{Filter: f, Reason: f.Trigger + ": " + err.Error(), Later: errors.Is(err, connector.ErrGone)})
		default:
			return fmt.Errorf("checking the params of %s: %w", f.Trigger, err)
		}
	}
	for _, j := range rejected {
		if !slices.ContainsFunc(s.Rejected, func(known Rejection) bool { return sameFilter(known.Filter, j.Filter) }) {
			r.cfg.Logger.WarnContext(ctx, "a trigger is not watched: its params cannot work", "subscription", s.ID, "connector", s.Connector, "connection", s.Connection, "reason", j.Reason)
		}
	}
	s.Rejected = rejected
	p.sub.Filters = s.watched()
	return nil
}

// refuse records that nothing of what is wanted of a watch can work.
func (r *Reconciler) refuse(ctx context.Context, s Subscription) error {
	s.State, s.LastError, s.Due = Refused, s.rejections(), r.recheck(s)
	opts := SaveOptions{News: r.failedNews(&s)}
	if _, err := r.cfg.Store.SaveSubscription(ctx, s, opts); err != nil {
		return err
	}
	if len(opts.News) > 0 {
		r.cfg.Told()
	}
	return nil
}

// rejections are the reasons, as many of them as fit in front of a person.
func (s Subscription) rejections() string {
	const most = 5
	var reasons []string
	for i, j := range s.Rejected {
		if i == most {
			reasons = append(reasons, fmt.Sprintf("and %d more", len(s.Rejected)-most))
			break
		}
		reasons = append(reasons, j.Reason)
	}
	return strings.Join(reasons, "; ")
}

// recheck is when the provider is asked again about what it rejected; zero: not by
// itself.
func (r *Reconciler) recheck(s Subscription) time.Time {
	if !slices.ContainsFunc(s.Rejected, func(j Rejection) bool { return j.Later }) {
		return time.Time{}
	}
	return r.cfg.Now().Add(jitter(recheckAfter))
}

// due is when an Active watch is looked at next: to be renewed, or to ask again
// about what was rejected.
func (r *Reconciler) due(s Subscription, p parts) time.Time {
	next, again := s.RenewAt, r.recheck(s)
	if p.verifies(s) {
		next = s.LastRenewal.Add(jitter(verifyEvery))
	}
	if again.IsZero() || !next.IsZero() && next.Before(again) {
		return next
	}
	return again
}

// verifies says whether a watch is looked at now and then: it never expires.
func (p parts) verifies(s Subscription) bool {
	return p.needsCall() && p.entry.Lister != nil && s.Held.ExpiresAt.IsZero()
}

// judgeAgain asks about what was rejected of an Active watch. done: all that was
// to be done now has been, or comes next.
func (r *Reconciler) judgeAgain(ctx context.Context, p parts, s *Subscription) (done bool, err error) {
	before := s.Rejected
	if err := r.judge(ctx, p, s); err != nil {
		// Not a reason to let the watch end: what it reports is not concerned.
		r.cfg.Logger.WarnContext(ctx, "asking about params failed", "subscription", s.ID, "connector", s.Connector, "error", err)
		s.Rejected = before
	} else if !slices.EqualFunc(before, s.Rejected, func(a, b Rejection) bool { return sameFilter(a.Filter, b.Filter) }) {
		s.State, s.Due = Pending, r.cfg.Now() // the provider must be told
		if _, err := r.cfg.Store.SaveSubscription(ctx, *s, SaveOptions{}); err != nil {
			return true, err
		}
		r.Wake()
		return true, nil
	}
	now := r.cfg.Now()
	if s.LastError != "" || !s.RenewAt.IsZero() && !now.Before(s.RenewAt) || p.verifies(*s) && now.Sub(s.LastRenewal) > verifyEvery {
		return false, nil
	}
	s.Due = r.due(*s, p)
	_, err = r.cfg.Store.SaveSubscription(ctx, *s, SaveOptions{})
	return true, err
}
