package faults_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// table gathers what each kind of fault did.
type table struct {
	mu   sync.Mutex
	rows []row
}

// judge demands what the product promises, and takes the row up.
func (x *table) judge(t *testing.T, r row) {
	t.Helper()
	switch {
	case r.lost > 0:
		t.Errorf("LOST: %d of %d acknowledged events have not arrived; %d deliveries wait in the store", r.lost, r.acknowledged, r.waiting)
	case r.acknowledged == 0:
		t.Error("nothing was acknowledged, so nothing was proved")
	}
	if r.bad > 0 {
		t.Errorf("%d deliveries were not what was sent", r.bad)
	}
	if r.apart > 0 {
		t.Errorf("%d events came under several webhook-ids", r.apart)
	}
	if most := r.inFlight*max(1, r.faults) + r.brokeAnswers; r.duplicates > most {
		t.Errorf("%d duplicates, but only %d were in flight when something happened", r.duplicates, most)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rows = append(x.rows, r)
}

// add joins rows of one kind.
func (r row) add(o row) row {
	return row{
		kind: r.kind, faults: r.faults + o.faults, acknowledged: r.acknowledged + o.acknowledged,
		arrived: r.arrived + o.arrived, lost: r.lost + o.lost, duplicates: r.duplicates + o.duplicates,
		inFlight: max(r.inFlight, o.inFlight), slowest: max(r.slowest, o.slowest), apart: r.apart + o.apart, bad: r.bad + o.bad, waiting: r.waiting + o.waiting,
		tries: r.tries + o.tries, refused: r.refused + o.refused, deliveries: r.deliveries + o.deliveries,
		brokeAnswers: r.brokeAnswers + o.brokeAnswers, took: r.took + o.took,
	}
}

// print writes the table.
func (x *table) print() {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(r row) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%v\t\n", r.kind, r.faults, r.acknowledged, r.arrived, r.lost,
			r.duplicates, r.refused, r.tries, r.slowest.Round(time.Millisecond), r.took.Round(time.Second))
	}
	fmt.Fprintln(w, "kind\tfaults\tacknowledged\tarrived\tlost\tduplicates\t503\trequests\tslowest recovery\ttook\t")
	all := row{kind: "all"}
	for _, r := range x.rows {
		line(r)
		all = all.add(r)
	}
	line(all)
	_ = w.Flush()
	fmt.Fprint(os.Stdout, "\n"+text.String()+"\n")
}
