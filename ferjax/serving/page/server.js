// What the server is asked; what it refuses is an Error with its sentence.

async function read(response) {
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new Error(`The server answered with status ${response.status}.`);
  }
  if (!response.ok) throw new Error(answer.error ?? `The server answered with status ${response.status}.`);
  return answer;
}

async function request(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("The server cannot be reached.");
  }
  return read(response);
}

export function ask(file, wishes) {
  const form = new FormData();
  form.append("files", file, file.name);
  return request(`predict?${new URLSearchParams(wishes)}`, { method: "POST", body: form });
}

// What a browser needs to know in order to answer by itself.
export function fetchFacts() {
  return request("browser.json");
}
