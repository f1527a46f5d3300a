// Command bench measures what forwarding costs, by ratios: the same load goes, in
// turns, to three servers on the same machine.
//
//	go run ./bench                       # everything, about 9 minutes
//	go run ./bench -quick                # shows that it works, not how fast it is
//	go run ./bench -scenario steady,tls -markdown -json numbers.json
//	go run ./bench -check                # exit status 1: over budget, 2: not judged
//	go run ./bench -scenario steady -profiles /tmp/p -profile cpu,mem
//
// raw is bare net/http in and out. relay is the whole pipeline of
// examples/server (handler, verify, decode, envelope, signing, lanes, HTTP client)
// over a store that keeps nothing, and it too answers before it sends. ours is the
// same over SQLite with a full fsync before each answer. What ours takes beyond
// the relay is the price of durability; what the relay takes beyond raw is that of
// the pipeline. docs/performance.md has the numbers and says what bounds them.
//
// Server, load generator and receiver are processes of their own, started from
// this one binary. Generator and receiver are lean, because they share the
// machine's processors with what they measure. The generator sends signed
// requests on a fixed number of connections: at full load each connection sends
// its next request after the answer to the last one, and no more than -window
// events are on their way; at a fixed rate a request counts from the time at which
// it was to be sent, whatever became of those before.
//
// Start with main.go. bed.go puts a server, a generator and a receiver together,
// measurement.go reads what a load took, and each scenario has a file: steady.go,
// backlog.go (with restart), dead.go, storm.go, variants.go (sizes, tls).
package main
