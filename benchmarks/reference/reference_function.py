"""A function as most are written: what it may need at the top, and its clients beside it."""

import os
from io import BytesIO
from uuid import UUID, uuid4

import boto3
import firebase_admin
from aws_lambda_powertools import Logger
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from firebase_admin import messaging
from mangum import Mangum
from PIL import Image
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

logger = Logger(service="reference")
s3 = boto3.client("s3")
sqs = boto3.client("sqs")
secrets = boto3.client("secretsmanager")
engine = create_engine(os.environ.get("DATABASE_URL", "postgresql+pg8000://127.0.0.1/nowhere"))
sessions = sessionmaker(engine)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class Media(Base):
    __tablename__ = "media"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[UUID]
    storage_key: Mapped[str]


class Notification(BaseModel):
    token: str
    title: str
    body: str


def signed_in(request: Request) -> str:
    """Return who sends the request."""
    authorizer = request.scope["aws.event"]["requestContext"].get("authorizer")
    if not authorizer:
        raise HTTPException(401, "Not signed in")
    return str(authorizer["lambda"]["claims"]["sub"])


@app.api_route("/generate_204", methods=["GET", "HEAD"])
def generate_204() -> Response:
    return Response(status_code=204)


@app.get("/api/v1/media")
def list_media(user_id: str = Depends(signed_in)) -> list[str]:
    with Session(engine) as session:
        return [media.storage_key for media in session.query(Media).filter_by(owner_id=user_id)]


@app.post("/api/v1/media")
def resize(key: str, user_id: str = Depends(signed_in)) -> Notification:
    original = s3.get_object(Bucket=os.environ["STORAGE_BUCKET"], Key=key)["Body"].read()
    with Image.open(BytesIO(original)) as photo:
        photo.thumbnail((800, 600))
    told = Notification(token=user_id, title="Ready", body=key)
    messaging.send(
        messaging.Message(token=told.token, notification=messaging.Notification(told.title)),
        app=firebase_admin.get_app(),
    )
    return told


handler = Mangum(app, lifespan="off")
