"""The answers' shapes, as the OpenAPI document tells them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Error(BaseModel):
    """What is wrong, in one line."""

    error: str


class Model(BaseModel):
    """The model that answers."""

    name: str
    image_size: int = Field(description="side of the square that the model sees, in pixels")
    fit: str = Field(description="how a picture becomes that square: crop, stretch, pad or photo")


class Bounds(BaseModel):
    """What a request may ask for."""

    images: int = Field(description="pictures in a request")
    explained_images: int = Field(description="pictures in a request with explain=true")
    body_bytes: int = Field(description="bytes of a request's body")


class ModelCard(Model):
    """The model, its classes, and what a request may ask of it."""

    class_names: list[str]
    limits: Bounds


class Answer(BaseModel):
    """What the model says of a picture; `file` and `error` alone where it is unreadable."""

    file: str | None = Field(description="the name that the form gave it")
    label: str | None = Field(description="the most probable class")
    probability: float | None = Field(description="of that class, from 0 to 1")
    probabilities: dict[str, float] | None = Field(description="class to probability")
    known: bool | None = Field(description="false: probably none of the classes")
    error: str | None = Field(description="null, or why the picture cannot be read")
    view: list[str] | None = Field(
        None, description="with view=true: each view whose answers it averages, PNG as data URL"
    )
    scaling: list[str] | None = Field(
        None, description="with view=true: how the picture became each view, in words"
    )
    explanation: str | None = Field(
        None, description="with explain=true: heat map over the first view, PNG as data URL"
    )


class Predictions(BaseModel):
    """An answer for each picture, in the order of the form."""

    model: Model
    predictions: list[Answer]


class NonePredicted(Predictions):
    """The same where no picture could be read."""

    error: str


class Live(BaseModel):
    """Whether the process answers."""

    live: bool


class Ready(BaseModel):
    """Whether requests are taken."""

    ready: bool


class ModelReady(Ready):
    """Whether requests for this model are taken."""

    name: str


class ServerMetadata(BaseModel):
    """Who answers."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor that goes in or comes out; -1: any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What goes into a model and what comes out."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Tensor(BaseModel):
    """A tensor's values, row by row, flat or nested as its shape says."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class RequestedOutput(BaseModel):
    """An output that is wanted."""

    name: str


class InferenceRequest(BaseModel):
    """The input tensor, and which outputs are wanted: all, unless they are named."""

    id: str | None = None
    inputs: list[Tensor]
    outputs: list[RequestedOutput] | None = None


class InferenceResponse(BaseModel):
    """The output tensors, their data flat."""

    model_name: str
    id: str | None = None
    outputs: list[Tensor]
