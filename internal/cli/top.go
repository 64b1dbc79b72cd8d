package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"keybearer/internal/telemetry"
)

func newTop() *cobra.Command {
	var o settings
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show the traffic of serve as it happens",
		Long: `Show the requests and tunnels of a keybearer serve with an admin listener, the
newest on top, with rates, durations and what is wrong. q ends it.

Where the output is no terminal there is one line for each, the oldest first, of
fields between tabs: time, verdict, status, milliseconds, method, target and path,
rule, problem or reason. The page at the same address shows the same, and why.`,
		Example: `  keybearer serve --admin 127.0.0.1:9901
  keybearer top --admin 127.0.0.1:9901
  keybearer top --admin 127.0.0.1:9901 | awk -F'\t' '$3 >= 400'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.top(cmd) },
	}
	o.register(cmd, "admin")
	o.flags.Lookup("admin").Usage = "the admin listener is at `ADDR`, or at unix:PATH (default the setting admin)"
	return cmd
}

func (o *settings) top(cmd *cobra.Command) error {
	address, err := o.admin(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	news := make(chan adminNews)
	ended := make(chan error, 1)
	go func() { ended <- newAdminStream(address).follow(ctx, news) }()

	if out, ok := cmd.OutOrStdout().(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		in, _ := cmd.InOrStdin().(*os.File)
		return topScreen(ctx, news, ended, in, out)
	}
	return topLines(ctx, news, ended, cmd.OutOrStdout(), cmd.ErrOrStderr())
}

// admin is the setting.
func (o *settings) admin(cmd *cobra.Command) (string, error) {
	address := os.Getenv("KEYBEARER_ADMIN")
	if given := o.flags.Lookup("admin"); given.Changed {
		address = given.Value.String()
	}
	if address == "" {
		c, err := o.load(cmd.InOrStdin(), false)
		if err != nil {
			return "", err
		}
		address = c.Settings.Admin
	}
	if address == "" {
		return "", exit(exitUsage, errors.New("there is no admin listener to ask; start serve with --admin 127.0.0.1:9901, and name the same address here"))
	}
	return address, nil
}

// topLines writes a line for each record.
func topLines(ctx context.Context, news <-chan adminNews, ended <-chan error, out, notes io.Writer) error {
	var v topView
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case n := <-news:
			if n.lost != nil {
				fmt.Fprintf(notes, "keybearer: %s; trying again in %s\n", telemetry.Clean(n.lost.Error()), brief(n.wait))
			}
			fresh := v.take(n, time.Now())
			if n.batch.Missed > 0 {
				fmt.Fprintf(notes, "keybearer: %d more came too fast to be told\n", n.batch.Missed)
			}
			for _, e := range fresh {
				if _, err := io.WriteString(out, topLine(e)); err != nil {
					return err
				}
			}
		}
	}
}

const redraw = 250 * time.Millisecond

// topScreen draws on the terminal out until a key of in, which may be nil, ends it.
func topScreen(ctx context.Context, news <-chan adminNews, ended <-chan error, in, out *os.File) error {
	// What comes first may be that nobody is there: told where the user still sees it.
	v := topView{colors: os.Getenv("NO_COLOR") == ""}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	case n := <-news:
		v.take(n, time.Now())
	}
	screen, err := openScreen(in, out)
	if err != nil {
		return err
	}
	defer screen.close()
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case <-screen.quit:
			return nil
		case n := <-news:
			v.take(n, time.Now())
		case <-tick.C:
			width, height, err := term.GetSize(int(out.Fd()))
			if err != nil {
				return err
			}
			if err := screen.show(v.frame(width, height, time.Now()), width, height); err != nil {
				return err
			}
		}
	}
}
