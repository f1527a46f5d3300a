package faults_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// refusals waits until the running service has answered so many requests with 503 more.
func (w *world) refusals(more int) {
	w.t.Helper()
	w.counts("/unavailable", more)
}

// failures waits until so many tries more have failed.
func (w *world) failures(more int) {
	w.t.Helper()
	w.counts("/failed", more)
}

// recovers waits until so many deliveries more were made: the lane goes on.
func (w *world) recovers(more int) {
	w.t.Helper()
	w.counts("/delivered", more)
}

func (w *world) counts(what string, more int) {
	w.t.Helper()
	count := func() int {
		n, err := strconv.Atoi(w.get("http://" + w.address + what))
		if err != nil {
			w.t.Fatal(err)
		}
		return n
	}
	before := count()
	w.until(fmt.Sprint(more, " more of ", what), func() bool { return count() >= before+more })
}

// progress waits until so many more events were acknowledged.
func (w *world) progress(more int) {
	w.t.Helper()
	size := func() int { return len(w.read("acknowledged")) }
	before := size()
	w.until("requests are acknowledged", func() bool { return size() >= before+more*30 })
}

func (w *world) until(what string, reached func() bool) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(arriveDeadline); !reached(); {
		select {
		case <-tick.C:
		case <-late:
			w.t.Fatalf("not within %v: %s\n%s", arriveDeadline, what, w.running.output())
		}
	}
}

// fullDisk lets the file system say that it is full, and then not any more.
func fullDisk(t *testing.T) row {
	w := newWorld(t, "", func(s *serviceSpec, _ *inboxSpec) { s.Disk = diskFull })
	w.send(nil)
	w.start(nil)
	for range options.of(3, 12) {
		w.progress(50)
		w.control("/full?on=true")
		w.refusals(20)
		w.row.faults++
		w.control("/full?on=false")
		w.ends = append(w.ends, time.Now())
	}
	w.progress(50)
	w.lastly()
	return w.settle()
}

// fullFileSystem fills a real one.
func fullFileSystem(t *testing.T) row {
	w := newWorld(t, "", nil)
	if err := syscall.Mount("faults", w.service.Dir, "tmpfs", 0, "size=48m"); err != nil {
		missing(t, "a small file system", "run as root, so that one can be mounted: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(w.service.Dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	w.send(func(s *senderSpec) { s.Body, s.Pause = 4000, 2*time.Millisecond })
	p := w.start(func(s *serviceSpec) { s.Purge = true })
	ballast := filepath.Join(w.service.Dir, "ballast")
	for range options.of(2, 12) {
		w.progress(50)
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		for chunk := make([]byte, 64<<10); len(chunk) > 0; {
			if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
				chunk = chunk[:len(chunk)/2]
			} else if err != nil {
				t.Fatal(err)
			}
		}
		w.refusals(20)
		w.row.faults++
		if err := errors.Join(f.Close(), os.Remove(ballast)); err != nil {
			t.Fatal(err)
		}
		w.ends = append(w.ends, time.Now())
		if p.within(0) {
			t.Fatalf("the service ended because the disk was full: %v\n%s", p.cmd.ProcessState, p.output())
		}
	}
	w.progress(50)
	w.lastly()
	return w.settle()
}

// brokenDisk lets one call fail. The store fails for good, Run says so, providers get 503, and
// nothing is tried again on that handle; opened anew it has everything.
func brokenDisk(t *testing.T) row {
	kinds := []diskFault{diskWrite, diskSync, diskMain, diskMainSync, diskRead}
	w := newWorld(t, "", nil)
	w.behave(late, 0.5)
	w.send(func(s *senderSpec) { s.Body, s.Workers = 12<<10, 32 })
	for i := range options.of(2*len(kinds), 10*len(kinds)) {
		kind := kinds[i%len(kinds)]
		p := w.start(func(s *serviceSpec) {
			s.Disk, s.KillNth = kind, 1
			switch kind {
			case diskWrite, diskSync:
				s.KillNth = 1 + w.random.IntN(40)
			case diskMain:
				s.KillNth = 1 + w.random.IntN(200)
			case diskMainSync, diskRead, diskFull, diskSlow:
			}
		})
		w.fault()
		if why, ok := p.said("failed"); !ok || !strings.HasPrefix(why, "true") || p.cmd.ProcessState.ExitCode() != exitFailed {
			t.Fatalf("%s: Run did not end because the store has failed: %v\n%s", kind, p.cmd.ProcessState, p.output())
		}
		if _, ok := p.said("refused"); !ok {
			t.Errorf("%s: no provider was answered 503\n%s", kind, p.output())
		}
		if n, ok := p.said("retried"); !ok || n != "0" {
			t.Errorf("%s: %s syncs were tried again on a handle that had failed", kind, n)
		}
	}
	w.lastLife()
	return w.settle()
}

// slowDisk has fsyncs that take up to 150 ms.
func slowDisk(t *testing.T) row {
	w := newWorld(t, "", func(s *serviceSpec, _ *inboxSpec) { s.Disk = diskSlow })
	w.send(func(s *senderSpec) { s.Workers = 64 })
	for range options.of(2, 10) {
		w.start(nil)
		w.progress(300)
		w.row.faults++
		w.stop()
		w.ends = append(w.ends, w.running.at)
	}
	w.lastLife()
	return w.settle()
}

// walBound is what the WAL may have when nobody reads: what is kept of it, and what comes between
// two looks at it.
const walBound = 96 << 20

// longReader reads the file by a connection of its own, such as the sqlite3 tool's, while the load
// goes on: the WAL grows, and shrinks again afterwards.
func longReader(t *testing.T) row {
	w := newWorld(t, "", nil)
	w.send(func(s *senderSpec) { s.Body, s.Workers = 24<<10, 32 })
	w.start(nil)
	path := filepath.Join(w.service.Dir, "store.db")
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for range options.of(1, 10) {
		w.progress(50)
		db, err := sqlite3.OpenFlags("file:"+path, sqlite3.OPEN_READONLY|sqlite3.OPEN_URI)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Exec(`PRAGMA busy_timeout = 10000; BEGIN; SELECT count(*) FROM event`); err != nil {
			t.Fatal(err)
		}
		begin := size()
		w.until("the WAL has grown behind the reader", func() bool { return size() > begin+(24<<20) })
		if err := errors.Join(db.Exec(`COMMIT`), db.Close()); err != nil {
			t.Fatal(err)
		}
		w.row.faults++
		w.until("the WAL is small again", func() bool { return size() < walBound })
	}
	w.lastly()
	if n := size(); n > walBound {
		t.Errorf("the WAL has %d MiB", n>>20)
	}
	return w.settle()
}

// damagedFile changes a store of which half is delivered: its head, its length, a byte of each page.
// Whoever opens that gets an error with a name; what is delivered all the same is what was sent.
func damagedFile(t *testing.T) row {
	w := newWorld(t, "", func(s *serviceSpec, _ *inboxSpec) { s.Checksums = true })
	w.send(func(s *senderSpec) { s.Total = 300 })
	w.start(nil)
	w.progress(100)
	w.behave(fails, 1)
	w.awaitSender()
	w.stop()
	path := filepath.Join(w.service.Dir, "store.db")
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pages := len(sound) / 4096
	damages := []func([]byte) []byte{
		func(b []byte) []byte { return append(make([]byte, 100), b[100:]...) },
		func(b []byte) []byte { return append(make([]byte, 4096), b[4096:]...) },
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte { return b[:4096*(pages/3)+100] },
		func(b []byte) []byte { return b[:len(b)-4096] },
	}
	for page := 0; page < pages; page += max(1, pages/options.of(25, pages)) {
		damages = append(damages, func(b []byte) []byte {
			b[4096*page+w.random.IntN(4096)] ^= byte(1) << w.random.IntN(8)
			return b
		})
	}
	w.behave(fine, 1)
	for i, damage := range damages {
		if err := os.WriteFile(path, damage(append([]byte(nil), sound...)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"-wal", "-shm"} {
			_ = os.Remove(path + name)
		}
		p := w.launch(func(s *serviceSpec) { s.SkipCheck = i%5 == 4 }) // then it has to notice while it runs, or not at all
		if i%5 == 4 {
			w.awaitReady(p)
			p.within(time.Duration(100+rand.IntN(100)) * time.Millisecond)
			_ = p.cmd.Process.Kill()
			<-p.exited
		} else if !p.within(stopDeadline) {
			t.Fatalf("damage %d was not noticed: %s", i, w.running.output())
		} else if code := p.cmd.ProcessState.ExitCode(); code != exitOpen && code != exitCheck {
			t.Fatalf("damage %d: %v\n%s", i, p.cmd.ProcessState, p.output())
		} else if why, _ := p.said("ends:"); !strings.Contains(why, "is damaged") && !strings.Contains(why, "is not a store") {
			t.Errorf("damage %d has no name: %s", i, why)
		}
		w.row.faults++
	}
	// The backup is put back.
	if err := os.WriteFile(path, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"-wal", "-shm"} {
		_ = os.Remove(path + name)
	}
	w.start(nil)
	r := w.settle()
	r.inFlight = max(r.inFlight, r.acknowledged) // each life over a damaged file begins from the same
	return r
}

// missing is for what this machine does not have. On a contributor's machine the test is skipped;
// with CI=true it fails, because nothing would be proved.
func missing(t *testing.T, part, remedy string) {
	t.Helper()
	if ci, err := strconv.ParseBool(os.Getenv("CI")); err == nil && ci {
		t.Fatalf("REAL PART MISSING: %s: %s", part, remedy)
	}
	t.Skipf("REAL PART MISSING, NOTHING PROVED: %s: %s", part, remedy)
}
