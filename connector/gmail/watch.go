package gmail

import (
	"context"
	"errors"
	"fmt"
	"time"

	gmailapi "google.golang.org/api/gmail/v1"

	"github.com/interactorhq/interactor/connector"
)

// renewWithin is how long a watch is relied on.
const renewWithin = 48 * time.Hour

// Identify tells whose mailbox it is.
func (c *Connector) Identify(ctx context.Context, s *connector.Session) ([]connector.Identity, error) {
	p, err := profile(ctx, s)
	if err != nil {
		return nil, err
	}
	if p.EmailAddress == "" {
		return nil, errors.New("gmail: profile: the answer has no emailAddress")
	}
	return []connector.Identity{{
		ID: fold(p.EmailAddress), Label: p.EmailAddress,
		Keys:   []connector.Key{mailboxKey(p.EmailAddress)},
		Values: map[string]string{"email": p.EmailAddress},
	}}, nil
}

func profile(ctx context.Context, s *connector.Session) (*gmailapi.Profile, error) {
	svc, err := service(ctx, s)
	if err != nil {
		return nil, err
	}
	p, err := svc.Users.GetProfile(me).Context(ctx).Do()
	if err != nil {
		return nil, apiError("profile", err)
	}
	return p, nil
}

// Subscribe makes Gmail publish every change of the mailbox to the App's topic.
// Google keeps one watch for each mailbox and project for up to 7 days; calling
// it again prolongs it. There is no filter by label: it would hide sent mail.
func (c *Connector) Subscribe(ctx context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	// One watch for a mailbox, so one id: were it to change, the engine would
	// remove the former one and with it the new.
	held := &connector.Held{ID: "mailbox"}
	svc, err := service(ctx, s)
	if err != nil {
		return nil, err
	}
	e := &expansion{svc: svc, sub: sub, now: clock(s)}
	if c.cfg.Mode == Poll {
		first, err := e.begin(ctx, "")
		if err != nil {
			return nil, err
		}
		held.Cursor = first.Cursor
		return held, nil
	}
	topic := s.App[FieldTopic]
	if topic == "" {
		return nil, fmt.Errorf("gmail: watch: %w: %w", connector.ErrRefused, errNoTopic)
	}
	if sub.Cursor == "" && sub.Held.Cursor == "" { // else a starting point is known, and this one not taken
		if err := e.baseline(ctx); err != nil {
			return nil, err
		}
	}
	resp, err := svc.Users.Watch(me, &gmailapi.WatchRequest{TopicName: topic}).Context(ctx).Do()
	if err != nil {
		err = apiError("watch "+topic, err)
		if errors.Is(err, connector.ErrGone) {
			// It is the topic that does not exist, and no retry makes it.
			return nil, fmt.Errorf("gmail: watch: %w: there is no topic %s, or Gmail may not publish to it", connector.ErrRefused, topic)
		}
		return nil, err
	}
	if resp.Expiration > 0 {
		// It lives for 7 days, and Google asks for a call each day: the engine calls
		// at half of what it is told. A watch that Google lost is back after a day.
		held.ExpiresAt = time.UnixMilli(resp.Expiration).UTC()
		if soon := e.now.Add(renewWithin).UTC(); held.ExpiresAt.After(soon) {
			held.ExpiresAt = soon
		}
	}
	cur := start(resp.HistoryId, e.now)
	cur.memory = e.memory
	held.Cursor = cur.String()
	return held, nil
}

// Unsubscribe ends the mailbox's watch. Google answers the same when there is none.
func (c *Connector) Unsubscribe(ctx context.Context, s *connector.Session, _ *connector.Subscription) error {
	if c.cfg.Mode == Poll {
		return nil
	}
	svc, err := service(ctx, s)
	if err != nil {
		return err
	}
	if err := svc.Users.Stop(me).Context(ctx).Do(); err != nil {
		if err = apiError("stop", err); !errors.Is(err, connector.ErrGone) {
			return err
		}
	}
	return nil
}
