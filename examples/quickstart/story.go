package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

const (
	account = "user-42" // the end user's id on your server
	mailbox = "alice@example.com"
)

// play tells the documented story, step by step, and checks each.
func (d *demo) play(ctx context.Context) error {
	begin := time.Now()
	step := 0
	say := func(format string, args ...any) {
		step++
		fmt.Fprintf(d.out, "%d. "+format+"\n", append([]any{step}, args...)...)
	}
	say("The service runs at %s; its Forwarding URL is your server, with the header %s.", d.url, headerKey)

	status, body, err := d.authURL(ctx, "itk_not-the-key")
	if err != nil {
		return err
	}
	if status != http.StatusUnauthorized {
		return fmt.Errorf("a wrong API key got %d %s", status, body)
	}
	say("A wrong API key is refused: %d %s", status, body)

	status, link, err := d.authURL(ctx, d.apiKey)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET auth-url: %d %s", status, link)
	}
	say("Your backend asks where to send %s: GET /api/v1/connector/interactor/gmail/auth-url?account=%s\n   %s", account, account, link)

	if err := d.google.Consent(ctx, link, mailbox); err != nil {
		return fmt.Errorf("consent: %w", err)
	}
	conn, err := d.in.Auth.Find(ctx, auth.Query{Connector: gmail.Name, Account: account})
	if err != nil {
		return err
	}
	say("%s presses Continue, signs in at Google as %s and agrees. Connected: %s.", account, mailbox, conn.ID)

	if err := d.watched(ctx); err != nil {
		return err
	}
	say("interactor has told Google to report what happens in that mailbox.")

	say("%s sends a mail; Google pushes a notice, signed; the event arrives at your server:", account)
	d.google.Send(gmailtest.Mail{From: mailbox, To: []string{"bob@example.com"}, Subject: "Lunch on Friday?", Text: "Hi Bob, shall we?"})
	sent, err := d.receiver.wait(ctx, func(ev trigger.Event) bool { return ev.Trigger == gmail.EmailSent })
	if err != nil {
		return err
	}
	mail, err := trigger.Decode[gmail.Email](sent)
	if err != nil {
		return err
	}
	if sent.Account != account || mail.Subject != "Lunch on Friday?" {
		return fmt.Errorf("arrived: account %q, subject %q", sent.Account, mail.Subject)
	}

	say("Bob answers:")
	d.google.Send(gmailtest.Mail{From: "bob@example.com", To: []string{mailbox}, Subject: "Re: Lunch on Friday?", Text: "Gladly."})
	if _, err := d.receiver.wait(ctx, func(ev trigger.Event) bool { return ev.Trigger == gmail.EmailReceived }); err != nil {
		return err
	}

	status, err = d.forge(ctx)
	if err != nil {
		return err
	}
	if status != http.StatusUnauthorized {
		return fmt.Errorf("a forged notice got %d", status)
	}
	say("A forged notice gets %d and reaches nobody.", status)

	rec, err := d.logged(ctx, sent.ID)
	if err != nil {
		return err
	}
	attempt := rec.Deliveries[0].Attempts[0]
	say("The event log knows it: %s, %s, answered %d in %s.", rec.ID, rec.Status, attempt.StatusCode, attempt.Took.Round(100*time.Microsecond))

	if err := d.disconnect(ctx, conn.ID); err != nil {
		return err
	}
	say("Disconnected: the watch at Google is gone and the grant is revoked.")
	say("That was the whole story, in %s.", time.Since(begin).Round(time.Millisecond))
	return nil
}

// authURL asks as your backend would.
func (d *demo) authURL(ctx context.Context, key string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/api/v1/connector/interactor/gmail/auth-url?account="+account, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("x-api-key", key)
	return do(req)
}

// forge sends a notice that Google did not sign.
func (d *demo) forge(ctx context.Context) (int, error) {
	body := string(d.google.Notification(mailbox, 99_999))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/webhooks/gmail", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")
	status, _, err := do(req)
	return status, err
}

func do(req *http.Request) (int, string, error) {
	client := &http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(b), err
}

// watched waits until the mailbox is watched.
func (d *demo) watched(ctx context.Context) error {
	return poll(ctx, "the watch was not created", func() (bool, error) {
		return d.google.Status(mailbox).Watching, nil
	})
}

// logged waits until the attempt that delivered an event is in the log.
func (d *demo) logged(ctx context.Context, id string) (rec forward.Record, err error) {
	err = poll(ctx, "the delivery was not recorded", func() (bool, error) {
		rec, err = d.in.Forwarder.Event(ctx, id)
		return err == nil && rec.Status == forward.Delivered, err
	})
	return rec, err
}

func (d *demo) disconnect(ctx context.Context, connection string) error {
	if err := d.in.Auth.Disconnect(ctx, connection); err != nil {
		return err
	}
	return poll(ctx, "the grant was not revoked", func() (bool, error) {
		return d.google.Stops(mailbox) > 0 && d.google.Revoked(mailbox), nil
	})
}

// poll asks until done says so.
func poll(ctx context.Context, otherwise string, done func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(errors.New(otherwise), ctx.Err())
		}
	}
}
