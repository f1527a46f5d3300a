package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// Platter knows what of a store's files is durable: what was written is so when the next Sync of
// its file has returned, a name when its directory was synced. Everything else is in memory, and a
// loss of power does with it what it likes.
//
// The durable bytes are kept in a directory of its own, one file each.
type Platter struct {
	dir string

	mu      sync.Mutex
	next    int
	live    map[string]*inode // by name, as a running program sees it
	durable map[string]*inode // by name, as after a loss
	names   []naming          // not durable yet, in order
}

// inode is a file's content, whatever its name.
type inode struct {
	path    string // of the durable bytes
	pending []change
}

// change is a write or truncation that is not durable yet.
type change struct {
	off      int64
	data     []byte
	truncate bool
}

// naming is a name that was given or taken away.
type naming struct {
	name string
	to   *inode // nil: removed
}

// NewPlatter takes what is in the directory files for durable and keeps its copy of it in dir,
// which has to be there and empty.
func NewPlatter(files, dir string) (*Platter, error) {
	p := &Platter{dir: dir, live: make(map[string]*inode), durable: make(map[string]*inode)}
	entries, err := os.ReadDir(files)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".db", ".db-wal", ".db-journal":
		default: // locks and shared memory are of a running machine only
			continue
		}
		i, err := p.inode()
		if err != nil {
			return nil, err
		}
		if err := copyFile(i.path, filepath.Join(files, e.Name())); err != nil {
			return nil, err
		}
		p.live[e.Name()], p.durable[e.Name()] = i, i
	}
	return p, nil
}

func (p *Platter) inode() (*inode, error) {
	p.next++
	i := &inode{path: filepath.Join(p.dir, fmt.Sprint("inode-", p.next))}
	return i, os.WriteFile(i.path, nil, 0o600)
}

// open returns the content of that name, which is new unless it is known.
func (p *Platter) open(name string) *inode {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.live[name]; i != nil {
		return i
	}
	i, err := p.inode()
	if err != nil {
		panic(err) // the test's own disk is full
	}
	p.live[name] = i
	p.names = append(p.names, naming{name, i})
	return i
}

func (p *Platter) remove(name string, durable bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, name)
	p.names = append(p.names, naming{name, nil})
	if durable {
		p.syncNames(len(p.names))
	}
}

// syncNames makes the first n namings durable. p.mu is held.
func (p *Platter) syncNames(n int) {
	for _, o := range p.names[:n] {
		if o.to == nil {
			delete(p.durable, o.name)
		} else {
			p.durable[o.name] = o.to
		}
	}
	p.names = p.names[n:]
}

func (p *Platter) change(i *inode, c change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.pending = append(i.pending, c)
}

func (p *Platter) sync(i *inode, directory bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if directory {
		p.syncNames(len(p.names))
	}
	return i.apply(i.pending)
}

// forget is what systems do when an fsync fails: what could not be written is taken for written, and
// no later fsync tries it again. Programs see it until the machine ends.
func (p *Platter) forget(i *inode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.pending = nil
}

// apply makes changes durable and forgets all others.
func (i *inode) apply(changes []change) error {
	f, err := os.OpenFile(i.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.truncate {
			err = f.Truncate(c.off)
		} else {
			_, err = f.WriteAt(c.data, c.off)
		}
		if err != nil {
			break
		}
	}
	i.pending = nil
	return errors.Join(err, f.Close())
}

// Mode is what a loss of power does with what was not synced.
type Mode string

// Modes. A tear leaves the beginning of what was written, its last sector half written.
const (
	Drop    Mode = "drop"
	Reorder Mode = "reorder"
	Tear    Mode = "tear"
	Keep    Mode = "keep"
)

// Modes returns all of them.
func Modes() []Mode { return []Mode{Drop, Reorder, Tear, Keep} }

// Lose is the loss of power: it puts what is left of the files into the directory to. Nothing that
// is asked of the Platter afterwards comes back, so that no fsync returns from a dead machine. It
// returns how many changes were at risk.
func (p *Platter) Lose(to string, mode Mode, random *rand.Rand) (atRisk int, err error) {
	p.mu.Lock() // for ever
	switch mode {
	case Drop:
	case Keep:
		p.syncNames(len(p.names))
	case Reorder, Tear: // file systems keep the order of names in their journals
		p.syncNames(random.IntN(len(p.names) + 1))
	}
	for name, i := range p.durable {
		atRisk += len(i.pending)
		if err := i.apply(survivors(i.pending, mode, random)); err != nil {
			return atRisk, err
		}
		if err := os.Rename(i.path, filepath.Join(to, name)); err != nil {
			return atRisk, err
		}
	}
	return atRisk, nil
}

// sector is what a disk writes at once.
const sector = 512

// survivors are those changes that reached the disk all the same.
func survivors(pending []change, mode Mode, random *rand.Rand) []change {
	switch mode {
	case Drop:
		return nil
	case Keep:
		return pending
	case Reorder: // any sectors of any writes
		var kept []change
		odds := random.Float64()
		for _, c := range pending {
			if c.truncate {
				if random.Float64() < odds {
					kept = append(kept, c)
				}
				continue
			}
			for _, s := range sectors(c) {
				if random.Float64() < odds {
					kept = append(kept, s)
				}
			}
		}
		return kept
	case Tear:
		if len(pending) == 0 {
			return nil
		}
		n := random.IntN(len(pending))
		kept := append([]change(nil), pending[:n]...)
		if last := pending[n]; !last.truncate {
			last.data = last.data[:random.IntN(len(last.data)+1)]
			kept = append(kept, last)
		}
		return kept
	}
	return nil
}

// sectors cuts a write at the borders of sectors.
func sectors(c change) (all []change) {
	for len(c.data) > 0 {
		n := min(int64(len(c.data)), sector-c.off%sector)
		all = append(all, change{off: c.off, data: c.data[:n]})
		c.off, c.data = c.off+n, c.data[n:]
	}
	return all
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
