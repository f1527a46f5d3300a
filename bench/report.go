//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
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
	Options   map[string]string        `json:"options"`
	Scenarios map[string][]measurement `json:"scenarios"`
	Budgets   []budget                 `json:"budgets"`

	order []string // of Scenarios
}

// budget is a bound and what was measured, mostly a ratio of medians.
type budget struct {
	Scenario string  `json:"scenario"`
	What     string  `json:"what"`
	Bound    float64 `json:"bound"`
	AtLeast  bool    `json:"at_least"` // else: at most
	Got      spread  `json:"got"`      // the median counts
	OK       bool    `json:"ok"`
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

// atLeast and atMost judge the median of some runs.

func (r *report) atLeast(scenario, what string, bound float64, got []float64) {
	if len(got) == 0 {
		return // not measured
	}
	s := spreadOf(got)
	r.Budgets = append(r.Budgets, budget{scenario, what, bound, true, s, s.Median >= bound})
}

func (r *report) atMost(scenario, what string, bound float64, got []float64) {
	if len(got) == 0 {
		return // not measured
	}
	s := spreadOf(got)
	r.Budgets = append(r.Budgets, budget{scenario, what, bound, false, s, s.Median <= bound})
}

// values of a quantity, one for each run.
func (r *report) values(scenario, kind, phase string, of func(measurement) float64) (out []float64) {
	for _, m := range r.Scenarios[scenario] {
		if m.Kind == kind && m.Phase == phase {
			out = append(out, of(m))
		}
	}
	return out
}

// ratio of what two contenders have in the same run, one for each run: they ran
// one after another, so that what else the machine did was alike.
func (r *report) ratio(scenario, phase, over, under string, of func(measurement) float64) (out []float64) {
	a, b := r.values(scenario, over, phase, of), r.values(scenario, under, phase, of)
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			out = append(out, a[i]/b[i])
		}
	}
	return out
}

func perSecond(m measurement) float64  { return m.PerSecond }
func cpu(m measurement) float64        { return m.CPU }
func peak(m measurement) float64       { return m.Peak }
func ackP50(m measurement) float64     { return m.Ack.P50 }
func ackP99(m measurement) float64     { return m.Ack.P99 }
func deliverP50(m measurement) float64 { return m.Deliver.P50 }
func deliverP99(m measurement) float64 { return m.Deliver.P99 }

// judgeSteady compares with the budgets of the design.
func (r *report) judgeSteady() {
	const s = "steady"
	r.atLeast(s, "events/s end to end, full load: ours / relay", 0.80, r.ratio(s, fullLoad, ours, relay, perSecond))
	r.atLeast(s, "events/s end to end, full load: relay / raw", 0.50, r.ratio(s, fullLoad, relay, raw, perSecond))
	r.atMost(s, "CPU per delivered event, full load: ours / relay", 1.5, r.ratio(s, fullLoad, ours, relay, cpu))
	r.atMost(s, "CPU per delivered event, 50%: ours / relay", 1.5, r.ratio(s, halfLoad, ours, relay, cpu))
	r.atMost(s, "acknowledgement p50, 50%: ours / relay", 3, r.ratio(s, halfLoad, ours, relay, ackP50))
	for _, phase := range []string{lowRate, lowLoad} {
		r.atMost(s, "acknowledged to delivered p50, "+phase+": ours / relay", 1.5, r.ratio(s, phase, ours, relay, deliverP50))
		r.atMost(s, "acknowledged to delivered p99, "+phase+": ours / relay", 2, r.ratio(s, phase, ours, relay, deliverP99))
	}
}

// over lists the budgets that are exceeded.
func (r *report) over() (out []string) {
	for _, b := range r.Budgets {
		if !b.OK {
			out = append(out, b.Scenario+": "+b.What)
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

// line is a measurement in short.
func (m *measurement) line() string {
	return fmt.Sprintf("%-5s %-5s %7.0f events/s  %4.0f µs CPU  ack %5.0f/%6.0f µs  delivered %5.0f/%6.0f µs  %3.0f MiB  %4.1f writes/commit  load %.2f, generator %2.0f µs, late %3.0f µs",
		m.Kind, m.Phase, m.PerSecond, m.CPU, m.Ack.P50, m.Ack.P99, m.Deliver.P50, m.Deliver.P99, m.Peak,
		float64(m.Writes)/float64(max(1, m.Commits)), m.Load, m.Sender, m.Late)
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
		{"run", r.Started.Format(time.RFC3339) + ", " + r.options()},
	} {
		about.rows = append(about.rows, row[:])
	}
	out := []table{about}
	for _, name := range r.order {
		out = append(out, r.scenarioTable(name))
	}
	if len(r.Budgets) > 0 {
		t := table{title: "Budgets", header: []string{"scenario", "what", "budget", "median", "min … max", ""}}
		for _, b := range r.Budgets {
			sign, verdict := "≤", "ok"
			if b.AtLeast {
				sign = "≥"
			}
			if !b.OK {
				verdict = "over"
			}
			t.rows = append(t.rows, []string{b.Scenario, b.What, fmt.Sprintf("%s %s", sign, number(b.Bound)), number(b.Got.Median), number(b.Got.Min) + " … " + number(b.Got.Max), verdict})
		}
		out = append(out, t)
	}
	return out
}

// scenarioTable has one row for each contender under each load: medians, and the
// spread of throughput.
func (r *report) scenarioTable(name string) table {
	t := table{title: name, header: []string{
		"load", "who", "events/s", "min … max", "CPU/event", "ack p50", "ack p99", "delivered p50", "delivered p99", "RSS", "writes/commit", "allocations",
	}}
	type key struct{ phase, kind string }
	var seen []key
	for _, m := range r.Scenarios[name] {
		if k := (key{m.Phase, m.Kind}); !slices.Contains(seen, k) {
			seen = append(seen, k)
		}
	}
	phases := func(k key) int { return slices.IndexFunc(seen, func(o key) bool { return o.phase == k.phase }) }
	slices.SortStableFunc(seen, func(a, b key) int { return phases(a) - phases(b) })
	for _, k := range seen {
		median := func(of func(measurement) float64) float64 {
			return spreadOf(r.values(name, k.kind, k.phase, of)).Median
		}
		rate := spreadOf(r.values(name, k.kind, k.phase, perSecond))
		batch := "-"
		if k.kind == ours {
			batch = fmt.Sprintf("%.1f", median(func(m measurement) float64 { return float64(m.Writes) / float64(max(1, m.Commits)) }))
		}
		t.rows = append(t.rows, []string{
			k.phase, k.kind, fmt.Sprintf("%.0f", rate.Median), fmt.Sprintf("%.0f … %.0f", rate.Min, rate.Max),
			fmt.Sprintf("%.0f µs", median(cpu)), ms(median(ackP50)), ms(median(ackP99)), ms(median(deliverP50)), ms(median(deliverP99)),
			fmt.Sprintf("%.0f MiB", median(peak)), batch, fmt.Sprintf("%.0f", median(func(m measurement) float64 { return m.Mallocs })),
		})
	}
	return t
}

func ms(micros float64) string { return fmt.Sprintf("%.2f ms", micros/1e3) }

func number(v float64) string {
	if v >= 100 {
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
