# client.pl MODE BASE: the modes of ../clients_test.go, with Perl's LWP.
use strict;
use warnings;
use HTTP::Message;
use HTTP::Request;
use LWP::UserAgent;

$| = 1;
my ($mode, $base) = @ARGV;
my $agent = LWP::UserAgent->new(timeout => 60);

# call sends a request and returns the answer, which has to be 200. What comes next
# are the arguments of LWP's request.
sub call {
    my ($method, $path, $fields, $content, @more) = @_;
    my $request = HTTP::Request->new($method, $base . $path, [Authorization => 'Bearer bogus-of-the-client', @$fields], $content);
    my $answer = $agent->request($request, @more);
    print $answer->status_line, "\n", $answer->headers->as_string;
    die $answer->header('X-Died') if $answer->header('X-Died');
    die $answer->status_line, "\n", $answer->content unless $answer->code == 200;
    return $answer;
}

sub get { print call('GET', shift, [@_])->decoded_content, "\n" }

# post streams a file, if LWP is told its length.
sub post {
    my ($path, $name, @fields) = @_;
    open my $file, '<:raw', $name or die "$name: $!";
    my $next = sub { read $file, my $part, 1 << 16; return $part };
    print call('POST', $path, ['Content-Length' => -s $name, 'Content-Type' => 'application/octet-stream', @fields], $next)->content, "\n";
}

# lines prints each line as soon as it is there.
sub lines {
    my ($path, $each) = @_;
    my $rest = '';
    call('GET', $path, [], undef, sub {
        $rest .= shift;
        while ($rest =~ s/^(.*\n)//) {
            print $1;
            $each->() if $each;
        }
    });
}

my %modes = (
    'get' => sub { get('/echo') },
    'all' => sub {
        get('/echo');
        post('/upload', 'upload.bin');
        call('GET', '/download', [], undef, 'download.bin');
    },
    'large-upload'   => sub { post('/large', 'large.bin') },
    'large-download' => sub { call('GET', '/large', [], undef, 'large-download.bin') },
    'stream'         => sub { lines('/stream') },
    'events'         => sub { lines('/events') },
    'continue'       => sub { post('/continue', 'upload.bin', Expect => '100-continue') },
    'redirect'       => sub { get('/redirect') },
    'gzip'           => sub { get('/gzip', 'Accept-Encoding' => scalar HTTP::Message::decodable()) },
    'hang-up'        => sub { lines('/forever', sub { exit 0 }) },
);
my $step = $modes{$mode} or do { warn "no such mode\n"; exit 64 };
$step->();
