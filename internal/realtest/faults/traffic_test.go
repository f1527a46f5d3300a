package faults_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// badReceiver has a receiver that does everything wrong, one thing at a time.
func badReceiver(t *testing.T) row {
	ways := []behaviour{hangs, trickles, resets, garbage, floods, heads, fails}
	w := newWorld(t, "", func(s *serviceSpec, _ *inboxSpec) { s.Timeout = 300 * time.Millisecond })
	w.send(func(s *senderSpec) { s.Pause = 20 * time.Millisecond })
	w.start(nil)
	for i := range options.of(len(ways), 10*len(ways)) {
		share := 0.3
		if ways[i%len(ways)] == floods {
			share = 0.02
		}
		w.behave(ways[i%len(ways)], share)
		w.progress(100)
		if share > 0.1 {
			w.failures(5)
		}
		w.row.faults++
		w.behave(fine, 1)
		w.recovers(50)
	}
	w.lastly()
	return w.settle()
}

// badNetwork puts toxiproxy between the service and its receiver.
func badNetwork(t *testing.T) row {
	var toxics []string
	for _, toxic := range []string{
		`"type":"latency","attributes":{"latency":150,"jitter":100}`,
		`"type":"reset_peer","attributes":{"timeout":20}`,
		`"type":"timeout","attributes":{"timeout":100}`,
		`"type":"timeout","attributes":{"timeout":0}`,
		`"type":"limit_data","attributes":{"bytes":300}`,
		`"type":"bandwidth","attributes":{"rate":20}`,
		`"type":"slicer","attributes":{"average_size":16,"size_variation":8,"delay":2000}`,
		`"type":"slow_close","attributes":{"delay":200}`,
	} {
		for _, stream := range []string{"upstream", "downstream"} {
			toxics = append(toxics, fmt.Sprintf(`{"name":"it","stream":%q,%s}`, stream, toxic))
		}
	}
	var proxy *toxiproxy.Proxy
	w := newWorld(t, "", func(s *serviceSpec, _ *inboxSpec) {
		s.Timeout = 500 * time.Millisecond
		server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
		upstream := strings.TrimSuffix(strings.TrimPrefix(s.Receiver, "http://"), "/events")
		proxy = toxiproxy.NewProxy(server, "receiver", "127.0.0.1:0", upstream)
		if err := proxy.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Stop)
		s.Receiver = "http://" + proxy.Listen + "/events"
	})
	w.send(func(s *senderSpec) { s.Pause = 20 * time.Millisecond })
	w.start(nil)
	for i := range options.of(len(toxics), 10*len(toxics)) {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxics[i%len(toxics)])); err != nil {
			t.Fatal(err)
		}
		w.progress(100)
		if toxic := toxics[i%len(toxics)]; strings.Contains(toxic, "reset_peer") || strings.Contains(toxic, `"timeout"`) || strings.Contains(toxic, "limit_data") {
			w.failures(3)
		}
		if err := proxy.Toxics.RemoveToxic(t.Context(), "it"); err != nil {
			t.Fatal(err)
		}
		w.row.faults++
		w.recovers(50)
	}
	w.lastly()
	return w.settle()
}

// clockJumps sets the wall clock forwards and backwards. What was planned on a clock that was ahead
// waits until it is that late; nothing is lost, and the store is not asked without end.
func clockJumps(t *testing.T) row {
	w := newWorld(t, "", func(s *serviceSpec, in *inboxSpec) { s.Clock, s.Bearer, in.Clock = true, true, true })
	w.behave(fails, 0.2)
	w.send(func(s *senderSpec) { s.Pause = 20 * time.Millisecond })
	w.start(nil)
	begin := time.Now()
	jumps := []time.Duration{time.Hour, -time.Hour, 0, 72 * time.Hour, -30 * 24 * time.Hour, time.Minute, -time.Second, 365 * 24 * time.Hour, 0}
	for i := range options.of(len(jumps), 10*len(jumps)) {
		w.control("/clock?offset=" + jumps[i%len(jumps)].String())
		w.progress(200)
		w.row.faults++
	}
	w.behave(fine, 1)
	w.lastly()
	w.control("/clock?offset=" + (400 * 24 * time.Hour).String()) // later than all that was planned
	asked, err := strconv.Atoi(w.get("http://" + w.address + "/asked"))
	if err != nil {
		t.Fatal(err)
	}
	r := w.settle()
	// Each delivery that waits is claimed, alone at worst, and there is a look at the store now and
	// then. Who spins asks some thousand times a second.
	if most := 4*r.deliveries + 100*r.faults + 20*int(time.Since(begin).Seconds()); asked > most {
		t.Errorf("the store was asked for work %d times, for %d deliveries: more than %d is spinning", asked, r.deliveries, most)
	}
	t.Logf("the store was asked for work %d times for %d deliveries", asked, r.deliveries)
	return r
}

// manyDestinations has 10,000 of which 1 % hang, fail or break the connection, and then get well.
func manyDestinations(t *testing.T) row {
	const n = 10_000
	w := newWorld(t, "", func(s *serviceSpec, _ *inboxSpec) { s.Tenants, s.Timeout = n, time.Second })
	w.behave(partly, 1)
	w.send(func(s *senderSpec) { s.Total, s.Workers = options.of(2*n, 5*n), 32 })
	w.start(nil)
	w.awaitSender()
	acknowledged, _ := w.acknowledged()
	var a arrivals
	w.until("all that went to others has arrived", func() bool {
		w.arrived(&a)
		for id := range acknowledged {
			if a.ids[id] == nil && id%n%100 != 7 {
				return false
			}
		}
		return true
	})
	w.row.faults = n / 100
	if dead := len(notArrived(acknowledged, a.ids)); dead < n/100 {
		t.Errorf("%d events did not arrive: the dead destinations were not dead", dead)
	}
	w.kill() // with all that waits for the dead ones
	w.behave(fine, 1)
	w.start(nil)
	return w.settle()
}

// panics come from the handler and from the connector.
func panics(t *testing.T) row {
	handler := newWorld(t, "", func(s *serviceSpec, _ *inboxSpec) { s.Handler = true })
	handler.send(func(s *senderSpec) { s.Total = options.of(1000, 5000) })
	handler.start(nil)
	handler.awaitSender()
	sum := handler.settle()
	sum.faults = sum.brokeAnswers

	broken := newWorld(t, "", func(s *serviceSpec, _ *inboxSpec) { s.Broken = true })
	broken.send(func(s *senderSpec) { s.Total = options.of(1000, 5000) })
	broken.start(nil)
	broken.awaitSender()
	broken.stop()
	broken.start(func(s *serviceSpec) { s.Broken = false }) // the connector is mended
	n, err := strconv.Atoi(broken.control("/revive"))
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Error("nothing was undecodable")
	}
	broken.row.faults = n
	return sum.add(broken.settle())
}

// shutdowns end the service politely under load, and start it again.
func shutdowns(t *testing.T) row {
	w := newWorld(t, "", func(s *serviceSpec, _ *inboxSpec) { s.Drain = 100 * time.Millisecond })
	w.behave(late, 1)
	w.send(func(s *senderSpec) { s.Workers = 32 })
	for i := range options.of(6, 30) {
		if i%3 == 2 {
			w.behave(hangs, 0.3) // what does not end is cut off and put back
		} else {
			w.behave(late, 1)
		}
		w.start(nil)
		w.progress(200)
		w.stop()
		w.row.faults++
		w.ends = append(w.ends, w.running.at)
	}
	w.lastLife()
	return w.settle()
}
