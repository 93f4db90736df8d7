/* Loads a SavedModel without Python and with XLA off, and answers requests from a file.

   serve MODEL REQUESTS ANSWERS

   A request is the number of inputs, the number of outputs, then each input as name, type, rank,
   sizes, bytes and data, and the names of the outputs. An answer is a status code, and then its
   message or, after OK, each output as type, rank, sizes, bytes and data. Numbers are int64, names
   a length and characters; a name is OPERATION:INDEX. The seconds of each run go to the standard
   output. Exit code 1 means that the model does not load. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/c_api_experimental.h"
#include "tensorflow/c/tf_tstring.h"

enum { MOST = 32 };

static int64_t read_number(FILE *file) {
  int64_t number;
  if (fread(&number, sizeof number, 1, file) != 1) exit(3);
  return number;
}

static void write_number(FILE *file, int64_t number) { fwrite(&number, sizeof number, 1, file); }

static TF_Output read_name(FILE *file, TF_Graph *graph) {
  char name[1024];
  int64_t length = read_number(file);
  if (length >= (int64_t)sizeof name || fread(name, 1, length, file) != (size_t)length) exit(3);
  name[length] = 0;
  char *colon = strrchr(name, ':');
  *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, name), atoi(colon + 1)};
  if (output.oper == NULL) {
    fprintf(stderr, "no operation %s\n", name);
    exit(3);
  }
  return output;
}

static TF_Tensor *read_tensor(FILE *file) {
  int64_t sizes[8], type = read_number(file), rank = read_number(file);
  for (int64_t axis = 0; axis < rank; ++axis) sizes[axis] = read_number(file);
  int64_t bytes = read_number(file);
  TF_Tensor *tensor = TF_AllocateTensor((TF_DataType)type, sizes, (int)rank, bytes);
  if (bytes && fread(TF_TensorData(tensor), 1, bytes, file) != (size_t)bytes) exit(3);
  return tensor;
}

static void write_tensor(FILE *file, TF_Tensor *tensor) {
  int64_t elements = TF_TensorElementCount(tensor);
  write_number(file, TF_TensorType(tensor));
  write_number(file, TF_NumDims(tensor));
  for (int axis = 0; axis < TF_NumDims(tensor); ++axis) write_number(file, TF_Dim(tensor, axis));
  if (TF_TensorType(tensor) != TF_STRING) {
    write_number(file, TF_TensorByteSize(tensor));
    fwrite(TF_TensorData(tensor), 1, TF_TensorByteSize(tensor), file);
    return;
  }
  const TF_TString *text = TF_TensorData(tensor);
  int64_t bytes = 0;
  for (int64_t i = 0; i < elements; ++i) bytes += TF_TString_GetSize(text + i) + 1;
  write_number(file, bytes);
  for (int64_t i = 0; i < elements; ++i) {
    fwrite(TF_TString_GetDataPointer(text + i), 1, TF_TString_GetSize(text + i), file);
    fputc('\n', file);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  TF_Status *status = TF_NewStatus();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_EnableXLACompilation(options, 0);
  TF_Graph *graph = TF_NewGraph();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s\n", TF_Message(status));
    return 1;
  }
  FILE *requests = fopen(argv[2], "rb"), *answers = fopen(argv[3], "wb");
  if (!requests || !answers) return 2;
  for (int64_t left = read_number(requests); left > 0; --left) {
    TF_Output inputs[MOST], outputs[MOST];
    TF_Tensor *given[MOST], *found[MOST] = {NULL};
    int64_t num_inputs = read_number(requests), num_outputs = read_number(requests);
    if (num_inputs > MOST || num_outputs > MOST) return 3;
    for (int64_t i = 0; i < num_inputs; ++i) {
      inputs[i] = read_name(requests, graph);
      given[i] = read_tensor(requests);
    }
    for (int64_t i = 0; i < num_outputs; ++i) outputs[i] = read_name(requests, graph);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    TF_SessionRun(session, NULL, inputs, given, (int)num_inputs, outputs, found, (int)num_outputs, NULL, 0, NULL,
                  status);
    clock_gettime(CLOCK_MONOTONIC, &after);
    printf("%.6f\n", (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec));
    write_number(answers, TF_GetCode(status));
    if (TF_GetCode(status) == TF_OK) {
      for (int64_t i = 0; i < num_outputs; ++i) write_tensor(answers, found[i]);
    } else {
      write_number(answers, (int64_t)strlen(TF_Message(status)));
      fputs(TF_Message(status), answers);
    }
    for (int64_t i = 0; i < num_inputs; ++i) TF_DeleteTensor(given[i]);
    for (int64_t i = 0; i < num_outputs; ++i)
      if (found[i]) TF_DeleteTensor(found[i]);
  }
  fclose(answers);
  fclose(requests);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  return 0;
}
