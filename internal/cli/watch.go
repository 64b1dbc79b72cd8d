package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A watch tells when files that are followed may have changed. Events of the file
// system are no more than a reason to look: they come in bursts, for neighbours of
// the files too, and sometimes twice. What a file is told by is [sight].
//
// The directories are watched in which a name decides what a path leads to: that
// of the file, those of the links on the way to it, and as long as one is missing
// the nearest that is there. So a file may be edited, renamed over, removed and
// made again, and the ..data link of a Kubernetes volume may be turned. The file
// itself is watched as well, since a container may have it mounted alone; then no
// event reaches its directory. That a directory further up is renamed goes unseen.
//
// Only changed is for other goroutines.
type watch struct {
	changed chan struct{} // receives when it is time to look

	notifier *fsnotify.Watcher // nil if there is none to be had
	files    map[string]sight  // as they were when last looked at
	blind    error             // the first reason why a change may go unseen
}

// newWatch follows files from now on. It always returns a watch: one that cannot
// see says so in blind.
func newWatch(files ...string) *watch {
	w := &watch{changed: make(chan struct{}, 1)}
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		w.blind = fmt.Errorf("watch files: %w", limit(err))
	} else {
		w.notifier = notifier
		go settle(notifier.Events, notifier.Errors, w.changed)
	}
	w.follow(files)
	return w
}

func (w *watch) close() {
	if w.notifier != nil {
		w.notifier.Close()
	}
}

// follow makes these the files to look at. One that was followed before is still
// compared with what it was then. Whoever reads the new ones afterwards misses no
// change of them.
func (w *watch) follow(files []string) {
	before := w.files
	w.files = make(map[string]sight, len(files))
	for _, file := range files {
		w.files[file] = before[file]
	}
	w.arm()
	for _, file := range files {
		if _, ok := before[file]; !ok {
			w.files[file] = see(file)
		}
	}
}

// look reports whether a file is other than when it was last looked at. What
// changes after it has an event of its own.
func (w *watch) look() (changed bool) {
	w.arm()
	for file, before := range w.files {
		now := see(file)
		changed = changed || now.differs(before)
		w.files[file] = now
	}
	return changed
}

// arm puts the watches where the files are now.
func (w *watch) arm() {
	if w.notifier == nil {
		return
	}
	// While the watches are put up, a link may be turned: so once more, until
	// nothing was.
	wanted := places(w.files)
	for range 8 {
		for place := range wanted {
			// Adding again is needed and harmless: the name may be of another
			// directory now.
			if err := w.notifier.Add(place); err != nil {
				w.failed(place, err)
			} else if w.blind == nil && remote(place) {
				w.blind = fmt.Errorf("watch %s: it is on a network file system, which tells nothing of changes made elsewhere", place)
			}
		}
		now := places(w.files)
		if maps.Equal(now, wanted) {
			break
		}
		wanted = now
	}
	for _, place := range w.notifier.WatchList() {
		if !wanted[place] {
			w.notifier.Remove(place) // its error: not watched anyway
		}
	}
}

// failed keeps why a place is not watched. One that is gone, or a file that cannot
// be read, is for its reader to tell.
func (w *watch) failed(place string, err error) {
	gone := errors.Is(err, fs.ErrNotExist)
	if errors.Is(err, fs.ErrPermission) {
		info, err := os.Stat(place)
		gone = err != nil || !info.IsDir()
	}
	if !gone && w.blind == nil {
		w.blind = fmt.Errorf("watch %s: %w", place, limit(err))
	}
}

// limit names the limit behind two errors of inotify that do not.
func limit(err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w; raise fs.inotify.max_user_instances, or the limit of open files", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; raise fs.inotify.max_user_watches", err)
	}
	return err
}

// maxLinks is how many symbolic links a path may lead through, as in the kernel.
const maxLinks = 40

// places returns where files have to be watched.
func places(files map[string]sight) map[string]bool {
	all := make(map[string]bool)
	for file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			continue // there is no working directory, so no such file either
		}
		for _, place := range placesOf(path) {
			all[place] = true
		}
	}
	return all
}

// placesOf walks to the file as the kernel does.
func placesOf(path string) (all []string) {
	here, rest := split(path)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		next := filepath.Join(here, name)
		rest = rest[1:]
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			return append(all, here)
		case info.Mode()&fs.ModeSymlink != 0:
			all = append(all, here)
			target, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return all
			}
			if filepath.IsAbs(target) {
				var way []string
				here, way = split(target)
				rest = slices.Concat(way, rest)
			} else {
				rest = slices.Concat(names(target), rest)
			}
		case len(rest) == 0:
			return append(all, here, next)
		default:
			here = next
		}
	}
	return append(all, here)
}

// split cuts an absolute path into its root and the names from there on.
func split(path string) (root string, rest []string) {
	volume := filepath.VolumeName(path)
	return volume + string(filepath.Separator), names(path[len(volume):])
}

func names(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(uint8(r)) })
}

// A sight is what can be seen of a file without reading it; the zero sight is of
// none.
type sight struct {
	info  fs.FileInfo // nil: there is no such file
	fresh bool        // written just now: another write may leave it looking the same
}

// coarse is the most by which the clocks of file systems lag.
const coarse = 50 * time.Millisecond

func see(file string) sight {
	info, err := os.Stat(file)
	if err != nil {
		return sight{}
	}
	return sight{info, time.Since(info.ModTime()).Abs() < coarse}
}

// differs reports whether a file cannot be trusted to be what it was before. Of a
// directory counts only which it is: its files are looked at by themselves.
func (s sight) differs(before sight) bool {
	if s.info == nil || before.info == nil {
		return s.info != before.info
	}
	a, b := s.info, before.info
	same := os.SameFile(a, b) && a.Mode() == b.Mode()
	if same && a.IsDir() {
		return false
	}
	return !same || before.fresh || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime())
}

// Editors truncate before they write, and volumes change in several steps: what is
// read before there was quiet is likely to be half of it.
const (
	quiet    = 100 * time.Millisecond // without an event, and the burst is over
	maxBurst = time.Second            // no burst is waited for longer
)

// settle sends one value for each burst of events, until the channel of events is
// closed. An error means that events were lost, so it counts as one.
func settle(events <-chan fsnotify.Event, errs <-chan error, changed chan<- struct{}) {
	timer := time.NewTimer(maxBurst)
	timer.Stop()
	var began time.Time // of the burst; zero: there is none
	for {
		select {
		case _, ok := <-events:
			if !ok {
				return
			}
		case _, ok := <-errs:
			if !ok {
				return
			}
		case <-timer.C:
			began = time.Time{}
			select {
			case changed <- struct{}{}:
			default: // one is waiting to be received
			}
			continue
		}
		if began.IsZero() {
			began = time.Now()
		}
		timer.Reset(min(quiet, maxBurst-time.Since(began)))
	}
}
