package gmail_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

// Thousands of random steps in a mailbox, while pages are read, commits are lost
// and tokens expire, end with exactly the events that an oracle expects.
func TestRandom(t *testing.T) {
	t.Parallel()
	const steps = 600
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 7))
			google := newGoogle(t)
			google.AddMailbox(bob)
			r := newRig(t, google, alice, "gmail.*")
			must, may := map[[2]string]bool{}, map[[2]string]bool{}
			var ids, drafts []string
			expect := func(id string, triggers ...string) {
				ids = append(ids, id)
				for _, name := range triggers {
					must[[2]string{name, id}] = true
				}
			}
			ok := func(err error) {
				if err != nil {
					t.Helper()
					t.Fatal(err)
				}
			}
			read := func(lose bool) {
				out, err := r.c.Expand(t.Context(), r.s, r.sub, nil)
				ok(err)
				if !lose {
					r.commit(out)
				}
			}
			for range steps {
				switch rnd.IntN(14) {
				case 0, 1:
					expect(google.Send(mail("sent"))[alice], gmail.EmailSent)
				case 2, 3:
					expect(google.Send(gmailtest.Mail{From: bob, To: []string{alice}})[alice], gmail.EmailReceived)
				case 4:
					expect(google.Send(gmailtest.Mail{From: alice, To: []string{alice, bob}})[alice], gmail.EmailSent, gmail.EmailReceived)
				case 5:
					drafts = append(drafts, google.Draft(alice, mail("draft")))
				case 6:
					if len(drafts) > 0 {
						ok(google.SaveDraft(alice, drafts[rnd.IntN(len(drafts))], mail("autosaved")))
					}
				case 7:
					if n := len(drafts); n > 0 {
						sent, err := google.SendDraft(alice, drafts[n-1])
						ok(err)
						drafts = drafts[:n-1]
						expect(sent[alice], gmail.EmailSent)
					}
				case 8:
					if len(ids) > 0 {
						ok(google.Label(alice, ids[rnd.IntN(len(ids))], []string{"STARRED"}, []string{"UNREAD", "INBOX"}))
					}
				case 9:
					if len(ids) > 0 { // whether it was told depends on who was first
						i := rnd.IntN(len(ids))
						ok(google.Delete(alice, ids[i]))
						for _, name := range []string{gmail.EmailSent, gmail.EmailReceived} {
							if id := [2]string{name, ids[i]}; must[id] {
								delete(must, id)
								may[id] = true
							}
						}
						ids = append(ids[:i], ids[i+1:]...)
					}
				case 10:
					google.ExpireTokens()
				case 11:
					google.SetPageSize(1 + rnd.IntN(4))
				case 12:
					read(true)
				case 13:
					read(false)
				}
			}
			r.catchUp()
			missing, invented := 0, 0
			for id := range must {
				if !r.seen[id] {
					missing++
				}
			}
			for id := range r.seen {
				if !must[id] && !may[id] {
					invented++
				}
			}
			if missing+invented > 0 {
				t.Errorf("of %d events %d were not told, and %d did not happen", len(must), missing, invented)
			}
			if len(must) < steps/10 {
				t.Errorf("only %d events", len(must))
			}
		})
	}
}
