package forward_test

import (
	"slices"
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
)

// Of two Connections that one request concerns, each gets what its own params let
// through.
func TestParamsOfAConnectionDecideWhatItGets(t *testing.T) {
	t.Parallel()
	list := forward.Settings{URL: "https://receiver.example", Secrets: settings().Secrets, Triggers: []trigger.Filter{
		{Trigger: noteAdded, Params: map[string]string{"label": "red"}},
	}}
	d := two(list, settings("gone.away"))
	key := " " + string(connector.NewKey("team", "T1"))
	plain := d.people[key][0]
	own, blind, other, anything := plain, plain, plain, plain
	own.Connection, own.Overrides = "conn_own", trigger.Overrides{noteAdded: {"label": "blue"}}
	blind.Connection, blind.Overrides = "conn_blind", trigger.Overrides{noteAdded: {"label": "green"}}
	other.Connection, other.Overrides = "conn_other", trigger.Overrides{noteRemoved: {"label": "blue"}}
	anything.Connection, anything.Overrides = "conn_all", trigger.Overrides{noteAdded: {}}
	d.people[key] = []forward.Recipient{plain, own, blind, other, anything}
	f := build(t, forward.Config{Directory: d})
	mustPost(t, f, hook, "default-key", request{Team: "T1", Items: []item{
		{Key: "1", Label: "red"}, {Key: "2", Label: "blue"}, {Key: "3"},
	}})
	var got []string
	for _, r := range all(t, f, "*") {
		got = append(got, r.Connection+" "+r.DedupeKey)
	}
	slices.Sort(got)
	want := []string{"conn_A1 1", "conn_all 1", "conn_all 2", "conn_all 3", "conn_other 1", "conn_own 2"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
