package operations

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const dashboardFile = "../../examples/grafana/keybearer.json"

var update = flag.Bool("update", false, "write the dashboard anew")

// The file is the dashboard of panels_test.go, and Grafana's own types find in it no
// field that they do not know, none that is missing, and none of the wrong type.
//
// seen red: a field of the file misspelt; a panel changed without -update.
func TestDashboard(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	want := render(t)
	if *update {
		if err := os.WriteFile(dashboardFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard.Dashboard
	if err := json.Unmarshal(got, &d); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(problems(new(dashboard.Dashboard).UnmarshalJSONStrict(got)), problems(d.Validate())); err != nil {
		t.Errorf("Grafana's types do not take %s: %v", dashboardFile, err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what panels_test.go says; run go test -run TestDashboard -update", dashboardFile)
	}
	checkLayout(t, &d)
}

// problems is err, or nil if it is an empty list, which is what the generated decoders
// return when all is well.
func problems(err error) error {
	var list cog.BuildErrors
	if errors.As(err, &list) && len(list) == 0 {
		return nil
	}
	return err
}

// checkLayout demands that each panel has an ID of its own, a query, a description,
// and a place that no other has.
func checkLayout(t *testing.T, d *dashboard.Dashboard) {
	t.Helper()
	ids, places := map[uint32]bool{}, map[[2]uint32]string{}
	for _, p := range d.Panels {
		if p.Panel == nil {
			continue // a row
		}
		title := *p.Panel.Title
		if p.Panel.Id == nil || ids[*p.Panel.Id] {
			t.Errorf("%s has no ID of its own", title)
		} else {
			ids[*p.Panel.Id] = true
		}
		if len(p.Panel.Targets) == 0 || p.Panel.Description == nil || p.Panel.GridPos == nil {
			t.Errorf("%s has no query, no description or no place", title)
			continue
		}
		for x := range p.Panel.GridPos.W {
			for y := range p.Panel.GridPos.H {
				at := [2]uint32{p.Panel.GridPos.X + x, p.Panel.GridPos.Y + y}
				if at[0] >= 24 || places[at] != "" {
					t.Fatalf("%s is where %q is, or outside, at %v", title, places[at], at)
				}
				places[at] = title
			}
		}
	}
	if len(ids) < 30 {
		t.Errorf("%d panels: some are missing", len(ids))
	}
}

func ptr[T any](v T) *T { return &v }

// source is the Prometheus that is chosen at the top of the dashboard.
var source = common.DataSourceRef{Type: ptr("prometheus"), Uid: ptr("${datasource}")}

func render(t *testing.T) []byte {
	t.Helper()
	b := dashboard.NewDashboardBuilder("keybearer").Uid("keybearer").Tags([]string{"keybearer"}).
		Description("What keybearer does. Metrics and alerts: docs/operations.md.").
		Time("now-3h", "now").Refresh("30s").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("instance").Label("Instance").Datasource(source).
			Query(dashboard.StringOrMap{String: ptr("label_values(keybearer_build_info, instance)")}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).AllValue(".*").
			Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{String: ptr("All")}, Value: dashboard.StringOrArrayOfString{String: ptr("$__all")}}))
	id := uint32(0)
	for _, r := range rows {
		id++
		b.WithRow(dashboard.NewRowBuilder(r.title).Id(id))
		for _, p := range r.panels {
			id++
			b.WithPanel(p.builder(id))
		}
	}
	d, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// targets are the queries as Grafana has them.
func (p panel) targets() (all []cog.Builder[variants.Dataquery]) {
	for i, q := range p.queries {
		b := prometheus.NewDataqueryBuilder().Datasource(source).RefId(string(rune('A' + i))).Range().
			Expr(strings.ReplaceAll(q.expr, "$i", `instance=~"$instance"`)).EditorMode(prometheus.QueryEditorModeCode)
		if q.legend != "" {
			b.LegendFormat(q.legend)
		}
		all = append(all, b)
	}
	return all
}

func (p panel) builder(id uint32) cog.Builder[dashboard.Panel] {
	if p.last {
		return stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Datasource(source).Unit(p.unit).
			Targets(p.targets()).Height(4).Span(4).Thresholds(p.thresholds()).
			Orientation(common.VizOrientationAuto).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	}
	return timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Datasource(source).Unit(p.unit).
		Targets(p.targets()).Height(8).Span(6).Min(0).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
}

// thresholds colour a value that is bad red.
func (p panel) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	steps := []dashboard.Threshold{{Color: "green"}}
	switch {
	case p.badBelow:
		steps = []dashboard.Threshold{{Color: "red"}, {Value: &p.bad, Color: "green"}}
	case p.bad > 0:
		steps = append(steps, dashboard.Threshold{Value: &p.bad, Color: "red"})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}
