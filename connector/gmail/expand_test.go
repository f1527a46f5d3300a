package gmail_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

// What happens in a mailbox, and what must be told of it.
func TestTriggers(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		do   func(g *gmailtest.Server) (sent, received []string) // ids in alice's mailbox
	}{
		{"nothing", func(*gmailtest.Server) (_, _ []string) { return }},
		{"sent", func(g *gmailtest.Server) (_, _ []string) {
			return []string{g.Send(mail("Lunch?"))[alice]}, nil
		}},
		{"received", func(g *gmailtest.Server) (_, _ []string) {
			return nil, []string{g.Send(gmailtest.Mail{From: bob, To: []string{alice}, Subject: "Yes"})[alice]}
		}},
		{"received as blind copy from elsewhere", func(g *gmailtest.Server) (_, _ []string) {
			return nil, []string{g.Send(gmailtest.Mail{From: "eve@elsewhere.example", Bcc: []string{alice}})[alice]}
		}},
		{"to oneself is both", func(g *gmailtest.Server) (_, _ []string) {
			id := g.Send(gmailtest.Mail{From: alice, To: []string{alice}, Subject: "Note"})[alice]
			return []string{id}, []string{id}
		}},
		{"a draft, autosaved, is nothing", func(g *gmailtest.Server) (_, _ []string) {
			d := g.Draft(alice, mail("L"))
			for _, s := range []string{"Lu", "Lun", "Lunch", "Lunch?"} {
				must(g.SaveDraft(alice, d, mail(s)))
			}
			return
		}},
		{"a draft that is sent has a new id", func(g *gmailtest.Server) (_, _ []string) {
			d := g.Draft(alice, mail("Lu"))
			must(g.SaveDraft(alice, d, mail("Lunch?")))
			ids, err := g.SendDraft(alice, d)
			must(err)
			return []string{ids[alice]}, nil
		}},
		{"SENT put on later, once however often", func(g *gmailtest.Server) (_, _ []string) {
			id := g.Insert(alice, mail("by IMAP"))
			must(g.Label(alice, id, []string{"SENT"}, nil))
			must(g.Label(alice, id, nil, []string{"SENT"}))
			must(g.Label(alice, id, []string{"SENT"}, nil))
			return []string{id}, nil
		}},
		{"a draft that becomes the sent message", func(g *gmailtest.Server) (_, _ []string) {
			id := g.Insert(alice, mail("by a client"), "DRAFT")
			must(g.Label(alice, id, []string{"SENT"}, nil))
			must(g.Label(alice, id, nil, []string{"DRAFT"}))
			return []string{id}, nil
		}},
		{"SENT on what is still a draft", func(g *gmailtest.Server) (_, _ []string) {
			id := g.Insert(alice, mail("odd"), "DRAFT")
			must(g.Label(alice, id, []string{"SENT"}, nil))
			return
		}},
		{"a draft with every label", func(g *gmailtest.Server) (_, _ []string) {
			g.Insert(alice, mail("odd"), "DRAFT", "SENT", "INBOX")
			return
		}},
		{"archived by a filter", func(g *gmailtest.Server) (_, _ []string) {
			g.Insert(alice, gmailtest.Mail{From: bob}, "UNREAD", g.CreateLabel(alice, "Lists"))
			return
		}},
		{"labelled by a filter", func(g *gmailtest.Server) (_, _ []string) {
			return nil, []string{g.Insert(alice, gmailtest.Mail{From: bob}, "INBOX", g.CreateLabel(alice, "Lists"))}
		}},
		{"spam", func(g *gmailtest.Server) (_, _ []string) {
			g.Insert(alice, gmailtest.Mail{From: bob}, "SPAM", "UNREAD")
			return
		}},
		{"back in the inbox is no arrival", func(g *gmailtest.Server) (_, _ []string) {
			id := g.Insert(alice, gmailtest.Mail{From: bob}, "SPAM")
			must(g.Label(alice, id, []string{"INBOX"}, []string{"SPAM"}))
			return
		}},
		{"archived right after arrival", func(g *gmailtest.Server) (_, _ []string) {
			id := g.Send(gmailtest.Mail{From: bob, To: []string{alice}})[alice]
			must(g.Label(alice, id, nil, []string{"INBOX", "UNREAD"}))
			return nil, []string{id}
		}},
		{"deleted before we look", func(g *gmailtest.Server) (_, _ []string) {
			must(g.Delete(alice, g.Send(mail("gone"))[alice]))
			return []string{g.Send(mail("here"))[alice]}, nil
		}},
		{"starred and read", func(g *gmailtest.Server) (_, _ []string) {
			id := g.Send(gmailtest.Mail{From: bob, To: []string{alice}})[alice]
			must(g.Label(alice, id, []string{"STARRED", "IMPORTANT"}, []string{"UNREAD"}))
			return nil, []string{id}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			google.AddMailbox(bob)
			r := newRig(t, google, alice, "gmail.*")
			sent, received := tt.do(google)
			r.catchUp()
			r.want(gmail.EmailSent, sent...)
			r.want(gmail.EmailReceived, received...)
			r.catchUp()
			if r.twice > 0 {
				t.Errorf("told %d again", r.twice)
			}
		})
	}
}

func TestOnlyWantedTriggers(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, gmail.EmailReceived)
	// Mail that nobody wants to hear of is not fetched either.
	google.Fail(gmailtest.Fault{Call: "message", Status: 500, Times: 100})
	google.Send(mail("not wanted"))
	r.catchUp()
	if len(r.told) > 0 {
		t.Errorf("told %v", r.told)
	}
}

func TestWhatIsToldOfAMessage(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, gmail.EmailSent)
	id := google.Send(gmailtest.Mail{
		From: "Alice Ünïcode <alice@example.com>", To: []string{bob, "Carol <carol@example.com>"}, Bcc: []string{"dave@example.com"},
		ReplyTo: "team@example.com", InReplyTo: "<first@example.com>", Subject: "Lunch – „Käse“?",
		Text: "Hi <Bob> & all\r\n", HTML: "<p>Hi</p>",
		Date:        time.Date(2026, 11, 23, 15, 4, 5, 123e6, time.UTC),
		Attachments: []gmailtest.Attachment{{Filename: "menü.pdf", MimeType: "application/pdf", Data: []byte("%PDF")}},
	})[alice]
	r.catchUp()
	if len(r.told) != 1 {
		t.Fatalf("told %d", len(r.told))
	}
	o := r.told[0]
	e, ok := o.Payload.(gmail.Email)
	if !ok {
		t.Fatalf("payload is %T", o.Payload)
	}
	if o.Key != id || e.ID != id || e.ThreadID != id || !o.OccurredAt.Equal(e.Date) {
		t.Errorf("ids and time: %+v", e)
	}
	if e.Subject != "Lunch – „Käse“?" || e.From != (gmail.Address{Name: "Alice Ünïcode", Email: alice}) {
		t.Errorf("subject %q, from %+v", e.Subject, e.From)
	}
	if want := []gmail.Address{{Email: bob}, {Name: "Carol", Email: "carol@example.com"}}; !slices.Equal(e.To, want) {
		t.Errorf("to %+v", e.To)
	}
	if !slices.Equal(e.Bcc, []gmail.Address{{Email: "dave@example.com"}}) || !slices.Equal(e.ReplyTo, []gmail.Address{{Email: "team@example.com"}}) {
		t.Errorf("bcc %+v, reply to %+v", e.Bcc, e.ReplyTo)
	}
	if e.Text != "Hi <Bob> & all\r\n" || e.HTML != "<p>Hi</p>" || e.Snippet != "Hi <Bob> & all" || e.InReplyTo != "<first@example.com>" {
		t.Errorf("text %q, html %q, snippet %q, in reply to %q", e.Text, e.HTML, e.Snippet, e.InReplyTo)
	}
	if len(e.Attachments) != 1 || e.Attachments[0].Filename != "menü.pdf" || e.Attachments[0].Size != 4 || e.Attachments[0].ID == "" {
		t.Errorf("attachments %+v", e.Attachments)
	}
	if !e.Date.Equal(time.Date(2026, 11, 23, 15, 4, 5, 123e6, time.UTC)) || !e.HasLabel("SENT") || e.Truncated || e.Size == 0 {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(string(o.Raw), `"internalDate":"1795446245123"`) {
		t.Errorf("raw is %s", o.Raw)
	}
}

// A burst over several pages arrives whole and in order, also when the process
// dies before or after the commit of any page.
func TestPagesAndCrashes(t *testing.T) {
	t.Parallel()
	const mails = 11
	for crash := range 2 * mails {
		t.Run(fmt.Sprintf("crash at step %d", crash), func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			google.SetPageSize(2)
			r := newRig(t, google, alice, "gmail.*")
			var sent []string
			for i := range mails {
				sent = append(sent, google.Send(mail(fmt.Sprint(i)))[alice])
			}
			step := 0
			for {
				out, err := r.c.Expand(t.Context(), r.s, r.sub, nil)
				if err != nil {
					t.Fatal(err)
				}
				if step++; step-1 == crash {
					// Dies before the commit: nothing of this page is stored. New mail meanwhile.
					sent = append(sent, google.Send(mail("meanwhile"))[alice])
					continue
				}
				r.commit(out)
				if !out.More {
					break
				}
			}
			r.catchUp()
			r.want(gmail.EmailSent, sent...)
		})
	}
}

func TestMailDuringAWalkIsNotLost(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	google.SetPageSize(1)
	r := newRig(t, google, alice, "gmail.*")
	var sent []string
	for i := range 4 {
		sent = append(sent, google.Send(mail(fmt.Sprint(i)))[alice])
	}
	for i := range 10 {
		if _, err := r.page(nil); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, google.Send(mail(fmt.Sprint("during ", i)))[alice])
	}
	r.catchUp() // its More is what says that there is more: no notification comes to help
	r.want(gmail.EmailSent, sent...)
}

func TestPageTokenRefused(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	google.SetPageSize(1)
	r := newRig(t, google, alice, "gmail.*")
	var sent []string
	for i := range 3 {
		sent = append(sent, google.Send(mail(fmt.Sprint(i)))[alice])
	}
	google.Fail(gmailtest.Fault{Call: "history", Skip: 1, Status: http.StatusBadRequest, Reason: "invalidArgument"})
	r.catchUp()
	r.want(gmail.EmailSent, sent...)
}

func TestEmptyCursorTellsNothing(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, "gmail.*")
	google.Send(mail("before"))
	r.sub.Cursor, r.sub.Held.Cursor = "", ""
	r.catchUp()
	if len(r.told) > 0 || r.sub.Cursor == "" {
		t.Fatalf("told %v, cursor %q", r.told, r.sub.Cursor)
	}
	id := google.Send(mail("after"))[alice]
	r.catchUp()
	r.want(gmail.EmailSent, id)
}

// A notification can be faster than the answer of Subscribe.
func TestHeldCursorIsTheStart(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, "gmail.*")
	id := google.Send(mail("after the watch"))[alice]
	r.sub.Cursor = ""
	r.catchUp()
	r.want(gmail.EmailSent, id)
}

func TestUnreadableCursorIsAGap(t *testing.T) {
	t.Parallel()
	for _, cursor := range []string{"rubbish", "{}", `{"history":"0","checked":1}`, `{"history":"12"}`, "12345", `{"history":"-1","checked":5}`} {
		t.Run(cursor, func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			r := newRig(t, google, alice, "gmail.*")
			google.Send(mail("unknown"))
			r.sub.Cursor = cursor
			r.catchUp()
			if len(r.gaps) != 1 {
				t.Errorf("gaps: %q", r.gaps)
			}
			id := google.Send(mail("after"))[alice]
			r.catchUp()
			r.want(gmail.EmailSent, id)
		})
	}
}

func TestRenewalKeepsTheCursor(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, "gmail.*")
	id := google.Send(mail("before the renewal"))[alice]
	held, err := r.c.Subscribe(t.Context(), r.s, r.sub)
	if err != nil {
		t.Fatal(err)
	}
	if held.ID != r.sub.Held.ID {
		t.Errorf("id changed from %q to %q: the engine would stop the new watch", r.sub.Held.ID, held.ID)
	}
	r.sub.Held = *held // and, by the rule, not the Cursor
	r.catchUp()
	r.want(gmail.EmailSent, id)
}

// thin is a notification as Decode hands it to Expand.
func thin(t *testing.T, r *rig, historyID uint64) *connector.Notice {
	t.Helper()
	d, err := r.c.Decode(&connector.Inbound{Body: r.google.Notification(alice, historyID)})
	if err != nil {
		t.Fatal(err)
	}
	return &d.Notices[0]
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		id   func(current uint64) uint64
		next bool
	}{
		{"current", func(c uint64) uint64 { return c }, false},
		{"older than the cursor, of which a newer one was merged away", func(uint64) uint64 { return 1 }, false},
		{"ahead of what is listed", func(c uint64) uint64 { return c + 1000 }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			r := newRig(t, google, alice, "gmail.*")
			id := google.Send(mail("one"))[alice]
			out, err := r.page(thin(t, r, tt.id(google.Status(alice).HistoryID)))
			if err != nil {
				t.Fatal(err)
			}
			r.want(gmail.EmailSent, id)
			if got := !out.Next.IsZero(); got != tt.next {
				t.Errorf("Next is %v", out.Next)
			}
		})
	}
}
