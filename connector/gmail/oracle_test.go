package gmail_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

// happening is an event by what identifies it.
type happening [2]string // trigger, key

// world does things in alice's mailbox and knows what has to be told of them.
type world struct {
	t      testing.TB
	google *gmailtest.Server
	rnd    *rand.Rand
	label  string // id of a label

	must   map[happening]bool
	may    map[happening]bool     // who is first decides: it was gone before it was looked at, perhaps
	of     map[string][]happening // by message id
	ids    []string
	drafts []string
	n      int
}

func newWorld(t testing.TB, google *gmailtest.Server, seed uint64) *world {
	t.Helper()
	google.AddMailbox(bob)
	return &world{
		t: t, google: google, rnd: rand.New(rand.NewPCG(seed, 7)), label: google.CreateLabel(alice, "Invoices"),
		must: map[happening]bool{}, may: map[happening]bool{}, of: map[string][]happening{},
	}
}

func (w *world) expect(id string, what ...happening) {
	for _, h := range what {
		w.of[id] = append(w.of[id], h)
		if !w.may[h] {
			w.must[h] = true
		}
	}
}

func (w *world) ok(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

// arrived is what a new message means, whose labels are those of a mail that was
// sent, received, or both.
func (w *world) arrived(id string, sent, received, file bool) {
	w.ids = append(w.ids, id)
	w.expect(id, happening{gmail.ThreadStarted, w.google.Thread(alice, id)})
	if sent {
		w.expect(id, happening{gmail.EmailSent, id})
	}
	if received {
		w.expect(id, happening{gmail.EmailReceived, id})
	}
	if received && file {
		w.expect(id, happening{gmail.AttachmentReceived, id})
	}
}

// uncertain moves what must be told of a message to what may be: it is gone.
func (w *world) uncertain(id string) {
	for _, h := range w.of[id] {
		delete(w.must, h)
		w.may[h] = true
	}
}

func (w *world) any() (string, bool) {
	if len(w.ids) == 0 {
		return "", false
	}
	return w.ids[w.rnd.IntN(len(w.ids))], true
}

// happens does one of the things that people and programs do.
func (w *world) happens() {
	w.n++
	m := gmailtest.Mail{Subject: fmt.Sprint("mail ", w.n), Text: "text"}
	file := w.rnd.IntN(3) == 0
	if file {
		m.Attachments = []gmailtest.Attachment{{Filename: "a.txt", MimeType: "text/plain", Data: []byte("a")}}
	}
	switch w.rnd.IntN(12) {
	case 0, 1:
		m.From, m.To = alice, []string{bob}
		w.arrived(w.google.Send(m)[alice], true, false, file)
	case 2, 3:
		m.From, m.To = bob, []string{alice}
		w.arrived(w.google.Send(m)[alice], false, true, file)
	case 4: // to oneself
		m.From, m.To = alice, []string{alice, bob}
		w.arrived(w.google.Send(m)[alice], true, true, file)
	case 5:
		m.From, m.To = alice, []string{bob}
		d := w.google.Draft(alice, m)
		w.drafts = append(w.drafts, d)
		w.expect(d, happening{gmail.DraftCreated, d})
	case 6: // a storm of autosaves
		if len(w.drafts) > 0 {
			m.From, m.To = alice, []string{bob}
			for range 1 + w.rnd.IntN(5) {
				w.ok(w.google.SaveDraft(alice, w.drafts[w.rnd.IntN(len(w.drafts))], m))
			}
		}
	case 7:
		if n := len(w.drafts); n > 0 {
			d := w.drafts[n-1]
			w.drafts = w.drafts[:n-1]
			w.uncertain(d)
			sent, err := w.google.SendDraft(alice, d)
			w.ok(err)
			w.arrived(sent[alice], true, false, false)
		}
	case 8:
		if id, ok := w.any(); ok {
			w.ok(w.google.Label(alice, id, []string{"STARRED"}, []string{"UNREAD", "INBOX"}))
			w.expect(id, happening{gmail.EmailStarred, id})
		}
	case 9: // by hand, or by a filter at arrival
		if id, ok := w.any(); ok && file {
			w.ok(w.google.Label(alice, id, []string{w.label}, nil))
			w.expect(id, happening{gmail.EmailLabeled, id + " " + w.label})
			return
		}
		m.From, m.To = bob, []string{alice}
		id := w.google.Insert(alice, m, "INBOX", w.label)
		w.arrived(id, false, true, file)
		w.expect(id, happening{gmail.EmailLabeled, id + " " + w.label})
	case 10:
		if id, ok := w.any(); ok {
			w.ok(w.google.Label(alice, id, []string{"TRASH"}, []string{"INBOX"}))
			w.expect(id, happening{gmail.EmailTrashed, id})
		}
	case 11:
		if len(w.ids) > 0 {
			i := w.rnd.IntN(len(w.ids))
			id := w.ids[i]
			w.ids = append(w.ids[:i], w.ids[i+1:]...)
			w.uncertain(id)
			w.ok(w.google.Delete(alice, id))
			w.must[happening{gmail.EmailDeleted, id}] = true
		}
	}
}

// forgotten is what a lost history means for what was not told yet: labels that
// were put on, and what was put into the trash or deleted, are told by nothing
// else. Mail that was sent and drafts are found by the resync that follows.
func (w *world) forgotten(seen func(happening) bool) {
	found := map[happening]bool{}
	for _, id := range w.ids {
		found[happening{gmail.EmailSent, id}] = true
	}
	for h := range w.must {
		if !found[h] && h[0] != gmail.DraftCreated && !seen(h) {
			delete(w.must, h)
			w.may[h] = true
		}
	}
}

// complete reports whether everything was told that must be.
func (w *world) complete(seen func(happening) bool) bool {
	for h := range w.must {
		if !seen(h) {
			return false
		}
	}
	return true
}

// judge compares what was told with what had to be.
func (w *world) judge(seen func(happening) bool, all []happening) {
	w.t.Helper()
	const most = 5 // of each are shown
	missing, invented := 0, 0
	for h := range w.must {
		if !seen(h) {
			if missing++; missing <= most {
				w.t.Errorf("%v was not told; labels now: %q", h, w.google.Labels(alice, h[1]))
			}
		}
	}
	for _, h := range all {
		if !w.must[h] && !w.may[h] {
			if invented++; invented <= most {
				w.t.Errorf("%v did not happen", h)
			}
		}
	}
	if missing+invented > 0 {
		w.t.Errorf("of %d events %d were not told, and %d did not happen", len(w.must), missing, invented)
	}
}
