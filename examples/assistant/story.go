package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

// deadline fails -auto: a story that hangs is a story that failed.
const deadline = 30 * time.Second

// play is the story without a browser: Alice connects both accounts, Bob writes to
// her about an issue, and the assistant has done its part when a draft is there.
func (s *story) play(ctx context.Context, links []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("the story did not end within %s", deadline))
	defer cancel()
	if err := errors.Join(s.google.Consent(ctx, links[0], alice), s.atlassian.Consent(ctx, links[1], alice)); err != nil {
		return err
	}
	if err := s.until(ctx, "Gmail is watched", func() bool { return s.google.Status(alice).Watching }); err != nil {
		return err
	}
	s.google.Send(gmailtest.Mail{From: "Bob <" + bob + ">", To: []string{alice}, Subject: s.issue + ": any news?", Text: "It is still slow."})
	return s.until(ctx, "a reply is drafted", func() bool { return s.google.Status(alice).Messages == 2 })
}

func (s *story) until(ctx context.Context, what string, ok func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}
