package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/forward"
)

func TestEraseAccount(t *testing.T) {
	t.Parallel()
	in := install(t)
	own, other := in.example(t, in.key), in.example(t, in.devKey) // both of user-42
	if got := in.call(t, "DELETE", "/accounts/user-42", in.key, ""); got.status != 204 || got.body != "" {
		t.Fatalf("DELETE: %d %s", got.status, got.body)
	}
	if got := in.call(t, "GET", "/events/"+own.ID, in.key, ""); got.status != 404 {
		t.Errorf("its event: %d %s", got.status, got.body)
	}
	if got := in.call(t, "GET", "/events/"+other.ID, in.devKey, ""); got.status != 200 {
		t.Errorf("the event of another environment's account: %d %s", got.status, got.body)
	}
	if got := in.call(t, "DELETE", "/accounts/user-42", in.key, ""); got.status != 204 {
		t.Errorf("a second time: %d %s", got.status, got.body)
	}
	for name, want := range map[string]int{
		"nobody": 204, url.PathEscape("a/b c?"): 204, "%00": 400, "%ff": 400, strings.Repeat("x", 513): 400, strings.Repeat("x", 512): 204, "": 404,
	} {
		if got := in.call(t, "DELETE", "/accounts/"+name, in.key, ""); got.status != want {
			t.Errorf("account %.20q: %d %s, want %d", name, got.status, got.body, want)
		}
	}
}

// slowEraser has durable orders that it does not carry out.
type slowEraser struct {
	api.Forwarder
	err error
}

func (s slowEraser) EraseAccount(context.Context, string, string) (int, error) { return 0, s.err }

func TestEraseAccountThatGoesOn(t *testing.T) {
	t.Parallel()
	in := install(t)
	for _, row := range []struct {
		err  error
		want int
	}{
		{fmt.Errorf("%w: %w", forward.ErrErasing, context.DeadlineExceeded), 202},
		{errors.New("not even noted"), 500},
	} {
		slow := in.with(t, func(cfg *api.Config) { cfg.Forwarder = slowEraser{cfg.Forwarder, row.err} })
		if got := slow.call(t, "DELETE", "/accounts/user-42", in.key, ""); got.status != row.want {
			t.Errorf("%v: %d %s, want %d", row.err, got.status, got.body, row.want)
		}
	}
}
