//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what one call of the program has found.
type report struct {
	Machine   machine                  `json:"machine"`
	Started   time.Time                `json:"started"`
	Took      string                   `json:"took"`
	Options   map[string]string        `json:"options"`
	Scenarios map[string][]measurement `json:"scenarios"`
	Budgets   []budget                 `json:"budgets"`

	order []string // of Scenarios
}

func (r *report) add(name string, m measurement) {
	if r.Scenarios == nil {
		r.Scenarios = make(map[string][]measurement)
	}
	if !slices.Contains(r.order, name) {
		r.order = append(r.order, name)
	}
	r.Scenarios[name] = append(r.Scenarios[name], m)
}

// runs are those of a contender under one load.
func (r *report) runs(scenario, kind, phase string) (out []measurement) {
	for _, m := range r.Scenarios[scenario] {
		if m.Kind == kind && m.Phase == phase {
			out = append(out, m)
		}
	}
	return out
}

func (r *report) writeJSON(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644) //nolint:gosec // a report is for everybody
}

// table is what print and markdown show.
type table struct {
	title  string
	header []string
	rows   [][]string
}

func (r *report) tables() []table {
	about := table{title: "Machine", header: []string{"what", "value"}}
	m := r.Machine
	for _, row := range [][2]string{
		{"processor", fmt.Sprintf("%s, %d processors", m.CPU, m.Processors)},
		{"memory", fmt.Sprintf("%.1f GiB", m.MemoryGiB)},
		{"kernel", m.Kernel},
		{"file system", m.FileSystem + " (" + m.Mount + ")"},
		{"fsync of 8 KiB", fmt.Sprintf("p50 %.0f µs, p99 %.0f µs", m.Fsync.P50, m.Fsync.P99)},
		{"load before", m.Load},
		{"Go", m.Go},
		{"GOGC, GOMAXPROCS of the server", r.gogc()},
		{"pragmas", r.pragmas()},
		{"run", r.Started.Format(time.RFC3339) + ", took " + r.Took + ", " + r.options()},
	} {
		about.rows = append(about.rows, row[:])
	}
	out := []table{about}
	for _, name := range r.order {
		out = append(out, r.scenarioTable(name))
	}
	if len(r.Budgets) > 0 {
		out = append(out, r.budgetTable())
	}
	return out
}

// column of a scenario's table: a median, left out where it tells nothing of
// anybody.
type column struct {
	name   string
	format string
	of     func(measurement) float64
	there  func(measurement) bool // defaults to: it is not zero
}

func columns() []column {
	counted := func(m measurement) bool { return m.Events > 0 }
	acked := func(m measurement) bool { return m.Ack.Max > 0 }
	delivered := func(m measurement) bool { return m.Deliver.Max > 0 }
	return []column{
		{"events/s", "%.0f", perSecond, counted},
		{"CPU/event", "%.0f µs", cpu, counted},
		{"processors", "%.2f", func(m measurement) float64 { return m.Load }, nil},
		{"ack p50", "%.2f ms", milli(ackP50), acked},
		{"ack p99", "%.2f ms", milli(ackP99), acked},
		{"delivered p50", "%.2f ms", milli(deliverP50), delivered},
		{"delivered p99", "%.2f ms", milli(deliverP99), delivered},
		{"first attempt", "%.3f s", firstAttempt, nil},
		{"recovery", "%.1f s", func(m measurement) float64 { return m.Recovery }, nil},
		{"drained", "%.1f s", func(m measurement) float64 { return m.Drained }, nil},
		{"RSS", "%.0f MiB", peak, nil},
		{"writes/commit", "%.1f", func(m measurement) float64 { return float64(m.Writes) / float64(max(1, m.Commits)) }, nil},
		{"tries/event", "%.2f", func(m measurement) float64 { return m.Tries }, func(m measurement) bool { return m.Events > 0 && m.Tries >= 1.005 }},
		{"allocations", "%.0f", func(m measurement) float64 { return m.Mallocs }, counted},
	}
}

func milli(of func(measurement) float64) func(measurement) float64 {
	return func(m measurement) float64 { return of(m) / 1e3 }
}

// cell is the median of some runs; empty: there is none.
func (c *column) cell(runs []measurement) string {
	var values []float64
	for _, m := range runs {
		v := c.of(m)
		if (c.there == nil && v != 0) || (c.there != nil && c.there(m)) {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return ""
	}
	s := spreadOf(values)
	text := fmt.Sprintf(c.format, s.Median)
	if c.name == "events/s" && len(values) > 1 {
		text += fmt.Sprintf(" ("+c.format+" … "+c.format+")", s.Min, s.Max)
	}
	return text
}

// scenarioTable has one row for each contender under each load: medians, and the
// spread of throughput.
func (r *report) scenarioTable(name string) table {
	type key struct{ phase, kind string }
	var keys []key
	for _, m := range r.Scenarios[name] {
		if k := (key{m.Phase, m.Kind}); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	phases := func(k key) int { return slices.IndexFunc(keys, func(o key) bool { return o.phase == k.phase }) }
	keys = slices.SortedStableFunc(slices.Values(keys), func(a, b key) int { return phases(a) - phases(b) })
	t := table{title: name, header: []string{"load", "who"}}
	for _, k := range keys {
		t.rows = append(t.rows, []string{k.phase, k.kind})
	}
	for _, c := range columns() {
		cells := make([]string, len(keys))
		told := false
		for i, k := range keys {
			cells[i] = c.cell(r.runs(name, k.kind, k.phase))
			told = told || cells[i] != ""
		}
		if !told {
			continue
		}
		t.header = append(t.header, c.name)
		for i := range cells {
			t.rows[i] = append(t.rows[i], cmp.Or(cells[i], "-"))
		}
	}
	return t
}

func number(v float64) string {
	if v >= 100 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func (r *report) options() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.Options)) {
		out = append(out, name+" "+r.Options[name])
	}
	return strings.Join(out, ", ")
}

// setup is what some server said of itself.
func (r *report) setup() (s serverStats) {
	for _, name := range r.order {
		for _, m := range r.Scenarios[name] {
			if s = m.Setup; m.Kind == ours {
				return s
			}
		}
	}
	return s
}

func (r *report) gogc() string {
	s := r.setup()
	return fmt.Sprintf("%d, %d", s.GOGC, s.Procs)
}

func (r *report) pragmas() string {
	s := r.setup()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.Pragmas)) {
		out = append(out, name+"="+s.Pragmas[name])
	}
	return strings.Join(out, ", ")
}

// print writes tables for a terminal.
func (r *report) print(w io.Writer) {
	for _, t := range r.tables() {
		fmt.Fprintf(w, "\n%s\n", t.title)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, strings.Join(t.header, "\t"))
		for _, row := range t.rows {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		_ = tw.Flush() // as the prints before
	}
}

// markdown writes the same for docs/performance.md.
func (r *report) markdown(w io.Writer) {
	for _, t := range r.tables() {
		fmt.Fprintf(w, "\n### %s\n\n| %s |\n|%s\n", t.title, strings.Join(t.header, " | "), strings.Repeat(" --- |", len(t.header)))
		for _, row := range t.rows {
			fmt.Fprintf(w, "| %s |\n", strings.ReplaceAll(strings.Join(row, " | "), "\n", " "))
		}
	}
}
