package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

const (
	newsEvery = 30 * time.Second // the store is asked for news, also if nobody said so
	newsBatch = 100
)

// WakeNews makes Run look for news at once: another room has put some beside a
// commit. Without it they are found a little later.
func (f *Forwarder) WakeNews() {
	select {
	case f.newsWake <- struct{}{}:
	default:
	}
}

// tellNews tells what other rooms have put beside their commits, until ctx ends.
func (f *Forwarder) tellNews(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	notified := make(map[string]bool) // and not forgotten yet, because the store failed
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-f.newsWake:
		}
		wait := newsEvery
		more, err := f.tellWaiting(ctx, notified)
		switch {
		case err != nil && ctx.Err() == nil:
			f.log.ErrorContext(ctx, "news could not be told yet", "error", err)
			wait = storeRetry
		case more:
			wait = 0
		}
		timer.Reset(wait)
	}
}

// tellWaiting tells a batch of news. A crash between telling and forgetting tells
// Config.Notify again, and a store that fails for long does not; what is forwarded
// has a dedupe key.
func (f *Forwarder) tellWaiting(ctx context.Context, notified map[string]bool) (more bool, err error) {
	waiting, err := f.store.WaitingNews(ctx, newsBatch)
	if err != nil {
		return false, fmt.Errorf("forward: read news: %w", err)
	}
	told := make([]string, 0, len(waiting))
	for _, ev := range waiting {
		if err = f.tellOne(ctx, ev, notified); err != nil {
			break
		}
		told = append(told, ev.ID)
	}
	if len(told) > 0 {
		if e := f.store.ForgetNews(ctx, told); e != nil {
			return false, fmt.Errorf("forward: forget news: %w", e)
		}
		for _, id := range told {
			delete(notified, id)
		}
	}
	if err != nil {
		return false, err
	}
	return len(waiting) == newsBatch, nil
}

func (f *Forwarder) tellOne(ctx context.Context, ev trigger.Event, notified map[string]bool) error {
	ev.Connector = newsConnector
	switch err := f.prepare(ctx, &ev); {
	case errors.Is(err, ErrEnvironmentGone):
		return nil // nobody is left who could be told
	case err != nil:
		return err
	}
	if !notified[ev.ID] {
		notified[ev.ID] = true
		f.notify(ctx, ev)
	}
	return f.forwardNews(ctx, ev)
}
