package gmail_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/trigger"
)

// mailTo is a mail that alice gets.
func mailTo(subject string) gmailtest.Mail {
	return gmailtest.Mail{From: bob, To: []string{alice}, Subject: subject, Text: "Hi Alice"}
}

// What happens in a mailbox, and what is told of it besides mail that is sent
// and received.
func TestMoreTriggers(t *testing.T) {
	t.Parallel()
	type told map[string][]string // keys by trigger
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	label := func(g *gmailtest.Server, id string, add, remove []string) { must(g.Label(alice, id, add, remove)) }
	for _, tt := range []struct {
		name string
		do   func(g *gmailtest.Server) told
	}{
		{"a star, once however often", func(g *gmailtest.Server) told {
			id := g.Send(mailTo("one"))[alice]
			for range 3 {
				label(g, id, []string{"STARRED"}, nil)
				label(g, id, nil, []string{"STARRED"})
			}
			return told{gmail.EmailStarred: {id}}
		}},
		{"a star from a filter", func(g *gmailtest.Server) told {
			return told{gmail.EmailStarred: {g.Insert(alice, mailTo("one"), "STARRED", "INBOX")}}
		}},
		{"a label by hand and one by a filter", func(g *gmailtest.Server) told {
			invoices, lists := g.CreateLabel(alice, "Invoices"), g.CreateLabel(alice, "Lists")
			a, b := g.Insert(alice, mailTo("a"), "INBOX", lists), g.Send(mailTo("b"))[alice]
			label(g, b, []string{invoices, lists, "IMPORTANT"}, nil)
			return told{gmail.EmailLabeled: {a + " " + lists, b + " " + invoices, b + " " + lists}}
		}},
		{"a label that is removed as a label since", func(g *gmailtest.Server) told {
			gone := g.CreateLabel(alice, "Gone")
			id := g.Insert(alice, mailTo("a"), "INBOX", gone)
			g.DeleteLabel(alice, gone)
			return told{gmail.EmailLabeled: {id + " " + gone}}
		}},
		{"trash by hand, and by a filter", func(g *gmailtest.Server) told {
			a, b := g.Send(mailTo("a"))[alice], g.Insert(alice, mailTo("b"), "TRASH")
			label(g, a, []string{"TRASH"}, []string{"INBOX"})
			return told{gmail.EmailTrashed: {a, b}}
		}},
		{"deleted for good, archived mail without any label too", func(g *gmailtest.Server) told {
			a, b := g.Send(mailTo("a"))[alice], g.Insert(alice, mailTo("b"))
			label(g, a, []string{"TRASH"}, []string{"INBOX", "UNREAD"})
			must(g.Delete(alice, a))
			must(g.Delete(alice, b))
			return told{gmail.EmailDeleted: {a, b}}
		}},
		{"an autosave storm is one draft, and no deletions", func(g *gmailtest.Server) told {
			d := g.Draft(alice, mail("L"))
			for range 60 {
				must(g.SaveDraft(alice, d, mail("Lu")))
			}
			return told{gmail.DraftCreated: {d}}
		}},
		{"a draft that is sent before we look", func(g *gmailtest.Server) told {
			d := g.Draft(alice, mail("L"))
			_, err := g.SendDraft(alice, d)
			must(err)
			return told{}
		}},
		{"two drafts in one thread", func(g *gmailtest.Server) told {
			first := mailTo("first")
			first.Header = map[string]string{"Message-ID": "<first@example.com>"}
			g.Send(first)
			reply := mail("Re: first")
			reply.InReplyTo = "<first@example.com>"
			return told{gmail.DraftCreated: {g.Draft(alice, reply), g.Draft(alice, reply)}}
		}},
		{"files, and mail without", func(g *gmailtest.Server) told {
			with := mailTo("with")
			with.Attachments = []gmailtest.Attachment{{Filename: "a.pdf", MimeType: "application/pdf", Data: []byte("%PDF")}, {Filename: "b.pdf", Data: []byte("b")}}
			sent := with
			sent.From, sent.To = alice, []string{bob}
			id := g.Send(with)[alice]
			g.Send(mailTo("without"))
			g.Send(sent)
			return told{gmail.AttachmentReceived: {id}}
		}},
		{"threads, not their replies", func(g *gmailtest.Server) told {
			first, reply := mailTo("first"), mail("Re: first")
			first.Header = map[string]string{"Message-ID": "<first@example.com>"}
			reply.InReplyTo = "<first@example.com>"
			a := g.Send(first)[alice]
			g.Send(reply)
			d := g.Draft(alice, mail("by a draft"))
			must(g.SaveDraft(alice, d, mail("by a draft, saved")))
			sent, err := g.SendDraft(alice, d)
			must(err)
			return told{gmail.ThreadStarted: {a, g.Thread(alice, sent[alice])}}
		}},
		{"a thread whose first mail is gone", func(g *gmailtest.Server) told {
			first, reply := mailTo("first"), mail("Re: first")
			first.Header = map[string]string{"Message-ID": "<first@example.com>"}
			reply.InReplyTo = "<first@example.com>"
			a := g.Send(first)[alice]
			g.Send(reply)
			must(g.Delete(alice, a))
			return told{gmail.ThreadStarted: {a}, gmail.EmailDeleted: {a}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, page := range []int{0, 1} { // whole, and record by record
				google := newGoogle(t)
				google.SetPageSize(page)
				r := newRig(t, google, alice, "gmail.*")
				want := tt.do(google)
				r.catchUp()
				for _, name := range []string{
					gmail.EmailLabeled, gmail.EmailStarred, gmail.EmailTrashed, gmail.EmailDeleted, gmail.DraftCreated, gmail.AttachmentReceived,
				} {
					if got := r.ids(name); !slices.Equal(sorted(got), sorted(want[name])) {
						t.Errorf("%s told %q, want %q", name, got, want[name])
					}
				}
				if threads := want[gmail.ThreadStarted]; threads != nil {
					r.want(gmail.ThreadStarted, threads...)
				}
				before := len(r.told)
				r.catchUp()
				if len(r.told) != before || len(r.gaps) > 0 {
					t.Errorf("%d more the second time; gaps %q", len(r.told)-before, r.gaps)
				}
			}
		})
	}
}

// A draft that was there before is no new one when it is saved again, also not
// when interest in drafts begins later, or the history is lost.
func TestOldDrafts(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	save := func(draft string) {
		if err := google.SaveDraft(alice, draft, mail("saved")); err != nil {
			t.Fatal(err)
		}
	}
	old := google.Draft(alice, mail("old"))
	r := newRig(t, google, alice, gmail.DraftCreated)
	save(old)
	r.catchUp()
	r.want(gmail.DraftCreated)
	first := google.Draft(alice, mail("first"))
	r.catchUp()
	save(first)
	save(old)
	r.catchUp()
	r.want(gmail.DraftCreated, first)

	r.sub.Filters = trigger.List(gmail.EmailSent)
	google.Draft(alice, mail("of no interest"))
	r.catchUp()
	between := google.Draft(alice, mail("of no interest either"))
	r.sub.Filters = trigger.List(gmail.DraftCreated)
	r.catchUp()
	save(between)
	second := google.Draft(alice, mail("second"))
	google.ExpireHistory(alice)
	third := google.Draft(alice, mail("third"))
	save(between)
	r.catchUp()
	if got := sorted(r.ids(gmail.DraftCreated)); !slices.Equal(got, sorted([]string{first, second, third})) {
		t.Errorf("told %q, want %q", got, []string{first, second, third})
	}
}

// A reply to a conversation from before is not the start of one.
func TestOldThreads(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	first, reply := mailTo("first"), mail("Re: first")
	first.Header = map[string]string{"Message-ID": "<first@example.com>"}
	reply.InReplyTo = "<first@example.com>"
	google.AddMailbox(alice)
	google.Send(first)
	r := newRig(t, google, alice, "gmail.*")
	id := google.Send(reply)[alice]
	r.catchUp()
	r.want(gmail.EmailSent, id)
	r.want(gmail.ThreadStarted)
}

func labelled(names ...string) []trigger.Filter {
	var list []trigger.Filter
	for _, n := range names {
		list = append(list, trigger.Filter{Trigger: gmail.EmailLabeled, Params: map[string]string{gmail.ParamLabel: n}})
	}
	return list
}

// A label is named as people see it; what is told matches the trigger list.
func TestLabelByName(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	invoices, lists := google.CreateLabel(alice, "Work/Invoices"), google.CreateLabel(alice, "Lists")
	r := newRig(t, google, alice)
	for _, tt := range []struct{ param, id string }{
		{"Work/Invoices", invoices}, {"work/invoices", invoices}, {" Work/Invoices ", invoices}, {invoices, invoices}, {"Lists", lists}, {"IMPORTANT", "IMPORTANT"},
	} {
		r.sub.Filters, r.told = labelled(tt.param), nil
		id := google.Send(mailTo("one"))[alice]
		if err := google.Label(alice, id, []string{invoices, lists, "STARRED", "IMPORTANT"}, nil); err != nil {
			t.Fatal(err)
		}
		r.catchUp()
		r.want(gmail.EmailLabeled, id+" "+tt.id)
		if len(r.told) != 1 {
			t.Fatalf("%q: told %d", tt.param, len(r.told))
		}
		p, ok := r.told[0].Payload.(gmail.LabeledEmail)
		if !ok || p.Label.ID != tt.id || p.Label.Name == "" || p.Email.ID != id {
			t.Errorf("%q: %+v", tt.param, r.told[0].Payload)
		}
		if !r.sub.Filters[0].Match(gmail.EmailLabeled, r.told[0].Attributes) {
			t.Errorf("%q does not match %v", tt.param, r.told[0].Attributes)
		}
	}
	if len(r.gaps) > 0 {
		t.Errorf("gaps %q", r.gaps)
	}
}

// A label that does not exist is told of, once, and works when it is made.
func TestLabelThatDoesNotExist(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice)
	r.sub.Filters = append(labelled("Invoices", "INBOX"), trigger.Filter{Trigger: gmail.EmailSent})
	for range 3 {
		google.Send(mail("sent"))
		r.catchUp()
	}
	if len(r.gaps) != 1 || !strings.Contains(r.gaps[0], `"Invoices"`) || len(r.ids(gmail.EmailSent)) != 3 {
		t.Fatalf("gaps %q, sent %q", r.gaps, r.ids(gmail.EmailSent))
	}
	id := google.CreateLabel(alice, "Invoices")
	m := google.Insert(alice, mailTo("one"), id)
	r.catchUp()
	r.want(gmail.EmailLabeled, m+" "+id)
	check := func(f trigger.Filter) error { return r.c.CheckParams(t.Context(), r.s, r.sub, f) }
	for _, f := range append(labelled("invoices", "INBOX", id), trigger.Filter{Trigger: gmail.EmailLabeled}) {
		if err := check(f); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
	google.DeleteLabel(alice, id)
	var wrong *connector.ParamError
	if err := check(r.sub.Filters[0]); !errors.As(err, &wrong) || wrong.Value != "Invoices" || !wrong.Later {
		t.Errorf("CheckParams: %v", err)
	}
	google.Send(mailTo("two"))
	r.catchUp()
	if len(r.gaps) != 2 {
		t.Errorf("gaps %q", r.gaps)
	}
}

// Errors of the calls that only some triggers need are errors of the page.
func TestErrorsOfSideCalls(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"labels", "drafts", "thread"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			google.CreateLabel(alice, "Lists")
			r := newRig(t, google, alice, "gmail.*")
			id := google.Send(mailTo("one"))[alice]
			d := google.Draft(alice, mail("draft"))
			google.Fail(gmailtest.Fault{Call: call, Status: http.StatusServiceUnavailable})
			if _, err := r.page(nil); err == nil {
				t.Fatal("no error")
			}
			if len(r.told) > 0 {
				t.Errorf("told %v", r.told)
			}
			r.catchUp()
			r.want(gmail.ThreadStarted, id)
			r.want(gmail.DraftCreated, d)
		})
	}
}

func TestMetadataOnly(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, "gmail.*")
	cfg := google.Config()
	cfg.MetadataOnly = true
	r.expand = gmail.New(cfg).Expand
	m := mailTo("Subject stays")
	m.Text, m.HTML = "a secret text", "<p>a secret text</p>"
	m.Attachments = []gmailtest.Attachment{{Filename: "a.pdf", MimeType: "application/pdf", Data: []byte("%PDF")}}
	id := google.Send(m)[alice]
	r.catchUp()
	r.want(gmail.AttachmentReceived, id)
	for _, o := range r.told {
		e, ok := o.Payload.(gmail.Email)
		if !ok {
			continue
		}
		if e.Text != "" || e.HTML != "" || e.Snippet != "" || e.Truncated {
			t.Errorf("%s: content in %+v", o.Trigger, e)
		}
		if e.Subject != "Subject stays" || e.From.Email != bob || len(e.Attachments) != 1 || e.Size == 0 {
			t.Errorf("%s: %+v", o.Trigger, e)
		}
		if raw := string(o.Raw); strings.Contains(raw, "secret") || strings.Contains(raw, `"data"`) || !strings.Contains(raw, "Subject stays") {
			t.Errorf("%s: raw is %s", o.Trigger, raw)
		}
	}
}
