package rules
import ("testing";"strings";"time")
func TestZZ(t *testing.T){
	for _,pat:=range []string{"/*","/*a*b*c*Q*x", "/**a**b**c**Q**x", "/*/*/*/*/*/Q/**/*x"} { patterns := pathPatterns(t, pat)
	for name, p := range map[string]string{
		"many restarts": "/" + strings.Repeat("abcd", 16000) + "x",
		"many segments": "/" + strings.Repeat("a/b/", 16000) + "x",
		"many readings": "/" + strings.Repeat(`..;a%252f\.%2e//`, 4000),
	} {
		start := time.Now()
		f:=appendForms(nil, p)
		a:=time.Since(start)
		matchForms(patterns, f)
		t.Log(pat,name,len(f),a,time.Since(start))
	}}
	for _,p:=range []string{"/api/v4/projects/group%2Fname/repository/files/src%2F.env%20x/raw","/a;b=c//d/../x%2Fy%252fz", "/a;b=c/%3Bd//../x"} { t.Log(p,len(appendForms(nil,p))) }
}
