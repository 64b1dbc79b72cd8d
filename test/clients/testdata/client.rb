# client.rb MODE BASE: the modes of ../clients_test.go, with Ruby's own Net::HTTP.
require "net/http"

$stdout.sync = true
MODE, BASE = ARGV
BOGUS = "Bearer bogus-of-the-client"

# call sends a request, and leaves an answer of 200 to the block, to be read as it comes.
def call(request)
  request["Authorization"] = BOGUS
  Net::HTTP.start(request.uri.host, request.uri.port, use_ssl: request.uri.scheme == "https", read_timeout: 60) do |http|
    http.continue_timeout = 10
    http.request(request) do |answer|
      puts "#{answer.code} #{answer.to_hash}"
      abort "status #{answer.code}: #{answer.body}" unless %w[200 302].include?(answer.code)
      return yield answer
    end
  end
end

def get(path) = Net::HTTP::Get.new(URI(BASE + path))

def print_answer(request) = call(request) { |answer| puts answer.read_body }

# post streams a file.
def post(path, name, fields = {})
  File.open(name, "rb") do |file|
    request = Net::HTTP::Post.new(URI(BASE + path), fields)
    request.content_type = "application/octet-stream"
    request.content_length = file.size
    request.body_stream = file
    print_answer(request)
  end
end

def save(path, name)
  File.open(name, "wb") { |file| call(get(path)) { |answer| answer.read_body { |part| file.write(part) } } }
end

# lines prints each line as soon as it is there.
def lines(path)
  rest = +""
  call(get(path)) do |answer|
    answer.read_body do |part|
      rest << part
      while (line = rest.slice!(/\A.*\n/))
        puts line
        yield if block_given?
      end
    end
  end
end

case MODE
when "get" then print_answer(get("/echo"))
when "all"
  print_answer(get("/echo"))
  post("/upload", "upload.bin")
  save("/download", "download.bin")
when "large-upload" then post("/large", "large.bin")
when "large-download" then save("/large", "large-download.bin")
when "stream", "events" then lines("/#{MODE}")
when "continue" then post("/continue", "upload.bin", "Expect" => "100-continue")
when "redirect" # which Net::HTTP leaves to the program
  there = call(get("/redirect")) { |answer| answer["Location"] }
  print_answer(Net::HTTP::Get.new(URI(there)))
when "gzip" then print_answer(get("/gzip")) # which Net::HTTP asks for and decodes by itself
when "hang-up" then lines("/forever") { exit!(0) }
else
  warn "no such mode"
  exit 64
end
