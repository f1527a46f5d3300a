package gmail_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

func sorted(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}

// When Google has forgotten the history, what is still there is told once, the
// gap is reported once, and what comes next is told as ever.
func TestResync(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	google.SetPageSize(2)
	r := newRig(t, google, alice, "gmail.*")
	sent := []string{google.Send(mail("told in time"))[alice]}
	r.catchUp()
	for i := range 5 {
		sent = append(sent, google.Send(mail(fmt.Sprint(i)))[alice])
	}
	google.Draft(alice, mail("unsent"))
	google.ExpireHistory(alice)
	for i := 0; ; i++ {
		out, err := r.page(nil)
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 { // while it is under way
			sent = append(sent, google.Send(mail("meanwhile"))[alice])
		}
		if !out.More {
			break
		}
	}
	if got := sorted(r.ids(gmail.EmailSent)); !slices.Equal(got, sorted(sent)) {
		t.Errorf("told %q, want %q", got, sent)
	}
	sent = append(sent, google.Send(mail("after"))[alice])
	r.catchUp()
	if got := sorted(r.ids(gmail.EmailSent)); !slices.Equal(got, sorted(sent)) {
		t.Errorf("told %q, want %q", got, sent)
	}
	if len(r.gaps) != 1 {
		t.Errorf("gaps: %q", r.gaps)
	}
}

func TestResyncTellsNothingFromBeforeTheConnection(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	old := mail("an hour before")
	old.Date = time.Now().Add(-time.Hour)
	google.Insert(alice, old, "SENT")
	recent := mail("a minute before")
	recent.Date = time.Now().Add(-time.Minute)
	google.Insert(alice, recent, "SENT")
	r := newRig(t, google, alice, "gmail.*")
	google.ExpireHistory(alice)
	r.catchUp()
	if len(r.told) > 0 {
		t.Errorf("told %v", r.ids(gmail.EmailSent))
	}
}

func TestResyncIsBounded(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	r := newRig(t, google, alice, "gmail.*")
	for i := range 530 {
		google.Insert(alice, mail(fmt.Sprint(i)), "SENT")
	}
	google.ExpireHistory(alice)
	r.catchUp()
	if n := len(r.ids(gmail.EmailSent)); n != 500 {
		t.Errorf("told %d", n)
	}
}

func TestResyncPageTokenRefused(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	google.SetPageSize(1)
	r := newRig(t, google, alice, "gmail.*")
	var sent []string
	for i := range 3 {
		sent = append(sent, google.Send(mail(fmt.Sprint(i)))[alice])
	}
	google.ExpireHistory(alice)
	google.Fail(gmailtest.Fault{Call: "messages", Skip: 1, Status: http.StatusBadRequest, Reason: "invalidArgument"})
	r.catchUp()
	if got := sorted(r.ids(gmail.EmailSent)); !slices.Equal(got, sorted(sent)) || len(r.gaps) != 1 {
		t.Errorf("told %q, want %q; gaps %q", got, sent, r.gaps)
	}
}
