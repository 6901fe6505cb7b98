package daemon_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/imgspecd/imgspecd/daemon"
)

type document struct {
	OpenAPI string                                `json:"openapi"`
	Info    struct{ Title, Version string }       `json:"info"`
	Paths   map[string]map[string]json.RawMessage `json:"paths"`
	Parts   struct {
		Schemas map[string]struct {
			Properties map[string]json.RawMessage `json:"properties"`
			Required   []string                   `json:"required"`
			Enum       []string                   `json:"enum"`
		} `json:"schemas"`
	} `json:"components"`
}

func openapi(t *testing.T) (document, []byte) {
	t.Helper()
	d := serve(t, &fake{})
	resp, err := d.raw().Get("http://x/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc, raw
}

// The API, written down once more by hand: a route that appears or goes must be meant.
var routes = []string{
	"DELETE /v1/builds/{id}", "DELETE /v1/projects/{id}", "DELETE /v1/specs/{ref}",
	"GET /openapi.json", "GET /v1/builds", "GET /v1/builds/{id}", "GET /v1/builds/{id}/log", "GET /v1/disk", "GET /v1/doctor", "GET /v1/events",
	"GET /v1/images", "GET /v1/images/{ref}", "GET /v1/info", "GET /v1/projects",
	"POST /v1/builds", "POST /v1/explain", "POST /v1/projects", "POST /v1/prune", "PUT /v1/specs",
}

func TestOpenAPIHasEveryRoute(t *testing.T) {
	doc, _ := openapi(t)
	if doc.OpenAPI != "3.1.0" || doc.Info.Version != "9.9.9" {
		t.Errorf("%+v", doc.Info)
	}
	var got []string
	ids := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			got = append(got, strings.ToUpper(method)+" "+path)
			var o struct {
				OperationID string `json:"operationId"`
				Summary     string
				Responses   map[string]json.RawMessage
				Parameters  []struct{ Name, In string }
			}
			if err := json.Unmarshal(op, &o); err != nil {
				t.Fatal(err)
			}
			if o.Summary == "" || ids[o.OperationID] || len(o.Responses) != 2 {
				t.Errorf("%s %s: %+v", method, path, o)
			}
			ids[o.OperationID] = true
			for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if len(o.Parameters) == 0 || o.Parameters[0].Name != m[1] || o.Parameters[0].In != "path" {
					t.Errorf("%s %s lacks its parameter", method, path)
				}
			}
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(routes))
	if !slices.Equal(got, want) {
		t.Errorf("the document has\n%s\nand the server\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	inTable := daemon.Routes()
	slices.Sort(inTable)
	if !slices.Equal(inTable, want) {
		t.Errorf("the table has\n%s", strings.Join(inTable, "\n"))
	}
}

// apiTypes reads package api's source: fields of its structs, values of its named strings.
func apiTypes(t *testing.T) (structs, enums map[string][]string) {
	t.Helper()
	structs, enums = map[string][]string{}, map[string][]string{}
	files, err := filepath.Glob("../api/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				st, ok := n.Type.(*ast.StructType)
				if !ok {
					return true
				}
				structs[n.Name.Name] = []string{}
				for _, field := range st.Fields.List {
					tag, _ := strconv.Unquote(field.Tag.Value)
					name := regexp.MustCompile(`json:"(\w+)`).FindStringSubmatch(tag)[1]
					structs[n.Name.Name] = append(structs[n.Name.Name], name)
				}
			case *ast.ValueSpec:
				if id, ok := n.Type.(*ast.Ident); ok && (id.Name == "State" || id.Name == "Code" || id.Name == "Level") {
					v, _ := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
					enums[id.Name] = append(enums[id.Name], v)
				}
			}
			return true
		})
	}
	return structs, enums
}

func TestOpenAPIHasEveryType(t *testing.T) {
	doc, raw := openapi(t)
	structs, enums := apiTypes(t)
	// These two say that no daemon could be asked, so that no daemon says them.
	enums["Code"] = slices.DeleteFunc(enums["Code"], func(c string) bool { return c == "no_daemon" || c == "not_permitted" })
	for name, fields := range structs {
		got := []string{}
		for p := range doc.Parts.Schemas[name].Properties {
			got = append(got, p)
		}
		slices.Sort(got)
		slices.Sort(fields)
		if !slices.Equal(got, fields) {
			t.Errorf("%s has %v, and in the document %v", name, fields, got)
		}
	}
	for name, values := range enums {
		got := slices.Sorted(slices.Values(doc.Parts.Schemas[name].Enum))
		if !slices.Equal(got, slices.Sorted(slices.Values(values))) {
			t.Errorf("%s has %v, and in the document %v", name, values, got)
		}
	}
	if want := len(structs) + len(enums); len(doc.Parts.Schemas) != want {
		t.Errorf("%d schemas for %d types", len(doc.Parts.Schemas), want)
	}
	// Whatever is referred to is there.
	for _, m := range regexp.MustCompile(`"\$ref":"#/components/schemas/(\w+)"`).FindAllSubmatch(raw, -1) {
		if _, ok := doc.Parts.Schemas[string(m[1])]; !ok {
			t.Errorf("no schema %s", m[1])
		}
	}
}
