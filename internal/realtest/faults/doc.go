// Package faults holds the fault suite: what package forward and store/sqlite promise about
// acknowledged events, held against everything that can go wrong around them.
//
//	go test .              every kind of fault, in the amount that CI runs
//	go test . -full        the amounts that a release is judged by; ends with the table
//	go test . -seed 7      repeats the choices of a run, though not what the scheduler makes of them
//
// Sender, service and receiver are processes of their own, each this test binary run again. What
// counts as acknowledged is what the sender wrote into its file when it saw 2xx; what counts as
// arrived is what the receiver wrote into its own before it answered. The service is a
// forward.Forwarder with connector/webhook over store/sqlite. It is hurt from outside: by a
// decorator of its Store, by a file system of SQLite (package disk), by its receiver, by the
// network, by signals. There is no hook in the product.
//
// After each fault the service is started again over what is left. It runs sqlite.Store.Check
// before it takes the first request, and when it is ended politely it counts its goroutines.
//
// TestPlantedBugs shows that the suite would notice: each of three bugs makes it lose events.
package faults
